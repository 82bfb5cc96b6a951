// ultra-train: the command line and the signals; what runs is in run.h, the ranks that run it in world.h.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "worker/trainer/device/cpu/kernels.h"
#include "worker/trainer/run.h"
#include "worker/trainer/sample.h"
#include "worker/trainer/trainer.h"
#include "worker/trainer/world.h"

namespace {

using namespace ultramarine;
using namespace ultramarine::trainer;
using collectives::Communicator;

std::atomic<bool> stop_requested = false;
static_assert(std::atomic<bool>::is_always_lock_free);

void request_stop(int) { stop_requested.store(true, std::memory_order_relaxed); }

/// The first SIGTERM or SIGINT asks for a clean stop, the second ends the process.
void handle_signals() {
  struct sigaction action {};
  action.sa_handler = request_stop;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
}

void add_world_options(CLI::App& app, WorldOptions& world) {
  app.add_option(
         "--device", world.device,
         "What ranks compute on: auto, cpu, cuda. auto: cuda where it can be used, and one line says why or why "
         "not. With several GPUs rank n of a node takes number n")
      ->capture_default_str()
      ->type_name("NAME")
      ->group("Ranks");
  app.add_option("--backend", world.backend,
                 "How ranks talk: auto, " + collectives::backend_names() +
                     ". auto: when a launcher started several processes (WORLD_SIZE), nccl on GPUs and mpi otherwise; "
                     "else in_process, or nccl for --ranks on as many GPUs")
      ->capture_default_str()
      ->type_name("NAME")
      ->group("Ranks");
  app.add_option("--ranks", world.ranks, "Ranks that are threads of this process")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024))
      ->type_name("N")
      ->group("Ranks");
  app.add_option("--threads", world.threads, "Threads that a rank computes with")
      ->capture_default_str()
      ->check(CLI::Range(1, 256))
      ->type_name("N")
      ->group("Ranks");
  app.add_option("--collective-deadline", world.deadline_s, "Give up when a collective takes longer than this")
      ->capture_default_str()
      ->check(CLI::PositiveNumber)
      ->type_name("SECONDS")
      ->group("Ranks");
}

void add_train_options(CLI::App& app, TrainOptions& options) {
  const auto count = [&](const char* name, std::int64_t& value, const char* help, const char* group) {
    app.add_option(name, value, help)
        ->capture_default_str()
        ->check(CLI::NonNegativeNumber)
        ->type_name("N")
        ->group(group);
  };
  const auto number = [&](const char* name, double& value, const char* help) {
    app.add_option(name, value, help)
        ->capture_default_str()
        ->check(CLI::NonNegativeNumber)
        ->type_name("X")
        ->group("Optimizer");
  };
  app.add_option("--data", options.data, "The text to train on: any file; its last tenth is held out")
      ->type_name("FILE")
      ->group("Training");
  count("--steps", options.steps, "Optimizer steps of the whole run", "Training");
  count("--global-batch", options.global_batch, "Samples in a step, over all ranks; a multiple of the number of ranks",
        "Training");
  count("--micro-batch", options.micro_batch, "Samples in one forward and backward pass, at most", "Training");
  app.add_option("--seed", options.seed, "Of the initialisation and of the order of the data")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber)
      ->type_name("N")
      ->group("Training");
  count("--layers", options.model.layers, "Blocks", "Model");
  count("--heads", options.model.heads, "Attention heads in a block", "Model");
  count("--width", options.model.width, "Width of the residual stream; a multiple of --heads", "Model");
  count("--context", options.model.context, "Bytes that the model sees", "Model");
  number("--learning-rate", options.optimizer.learning_rate, "Peak learning rate");
  number("--final-fraction", options.optimizer.final_fraction, "Part of the peak that the cosine schedule ends at");
  app.add_option("--warmup", options.optimizer.warmup_steps, "Steps until the peak")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber)
      ->type_name("N")
      ->group("Optimizer");
  number("--beta-1", options.optimizer.beta_1, "AdamW: decay of the first moment");
  number("--beta-2", options.optimizer.beta_2, "AdamW: decay of the second moment");
  number("--weight-decay", options.optimizer.weight_decay, "AdamW: decay of matrices and embeddings");
  number("--clip", options.optimizer.gradient_norm_max, "Largest global norm of the gradient; 0 = no limit");
  count("--log-every", options.log_every, "Steps between lines of output", "Output");
  count("--evaluate-every", options.evaluation_every,
        "Steps between evaluations on the held-out part; 0 = only at the end", "Output");
  count("--evaluation-batches", options.evaluation_batches,
        "Held-out windows of an evaluation, in global batches, spread evenly; 0 = the whole held-out part", "Output");
  count("--check-every", options.check_every,
        "Steps between comparisons of all ranks' parameters, bit by bit; 0 = never", "Output");
  app.add_option("--checkpoint-directory", options.checkpoint_directory,
                 "Where checkpoints go: at the end, when asked to stop (SIGTERM) and every --checkpoint-every steps; "
                 "the newest three are kept")
      ->type_name("FOLDER")
      ->group("Checkpoints");
  count("--checkpoint-every", options.checkpoint_every, "Steps between checkpoints; 0 = none in between",
        "Checkpoints");
  app.add_flag(
         "--resume", options.resume,
         "Go on from the newest valid checkpoint in --checkpoint-directory, if there is one; on any number of ranks")
      ->group("Checkpoints");
}

int train(TrainOptions options, const WorldOptions& world) {
  if (options.data.empty()) throw InputError("--data: needed; the file to train on (see ultra-train --help)");
  if (options.log_every < 1) throw InputError("--log-every: at least 1");
  options.collective_deadline = deadline_of(world);
  const World chosen = choose_world(world);
  validate(options, world_size(world, chosen));
  handle_signals();
  if (process_rank() == 0) ProgressReporter(progress_path(), 0).phase("reading the corpus", std::chrono::minutes(5));
  const Corpus corpus = load_corpus(options.data, options.model.context);
  if (!options.checkpoint_directory.empty() && process_rank() == 0) {
    std::error_code error;
    std::filesystem::create_directories(options.checkpoint_directory, error);
    if (error)
      throw InputError("--checkpoint-directory: can't make " + options.checkpoint_directory + ": " + error.message());
  }
  return run_ranks(world, chosen, [&](Communicator& communicator, Device& device, ProgressReporter& progress) {
    if (communicator.rank() == 0)
      std::printf("device %s (%s)\n", device.description().c_str(), chosen.device.reason.c_str());
    return run_training(options, corpus, communicator, device, progress, stdout, stderr, stop_requested);
  });
}

int baseline(const std::string& data) {
  const Corpus corpus = load_corpus(data, 1);
  const double loss = order_1_loss(corpus.training(), corpus.held_out());
  std::printf(
      "held-out loss %.4f nats/byte (%.4f bits/byte) of an order-1 add-one byte model: %s bytes of training text, %s "
      "held out\n",
      loss, loss * bits_per_nat, grouped(static_cast<std::int64_t>(corpus.training().size())).c_str(),
      grouped(static_cast<std::int64_t>(corpus.held_out().size())).c_str());
  return 0;
}

struct SampleOptions {
  std::string checkpoint;
  std::string prompt;
  std::int64_t length = 400;
  std::uint64_t seed = 1;
  double temperature = 0.8;
};

int sample(const SampleOptions& options) {
  set_compute_threads(1);
  Checkpoint checkpoint;
  try {
    checkpoint = load_checkpoint(options.checkpoint);
  } catch (const std::runtime_error& error) {
    throw InputError("--checkpoint: " + options.checkpoint + ": " + error.what());
  }
  const std::string text = options.prompt +
                           sample_text(checkpoint, options.prompt, options.length, options.seed, options.temperature) +
                           "\n";
  std::fwrite(text.data(), 1, text.size(), stdout);
  return 0;
}

int run_command_line(int argc, char** argv) {
  CLI::App app(
      "Trains a small GPT-2-style model on bytes of text, data-parallel over the ranks of its gang.\n"
      "Exit codes: 0 complete, 1 failure, 2 wrong usage or input, 16 a collective passed its deadline, 85 stopped "
      "early with a checkpoint.\n");
  app.require_subcommand(0, 1);
  app.option_defaults()->multi_option_policy(
      CLI::MultiOptionPolicy::TakeLast);  // so that a script's options can be overridden
  TrainOptions options;
  WorldOptions world;
  add_train_options(app, options);
  add_world_options(app, world);

  std::string baseline_data;
  CLI::App* baseline_command = app.add_subcommand(
      "baseline", "Print the held-out loss of an order-1 (bigram) add-one byte model fitted on the same training part");
  baseline_command->add_option("--data", baseline_data, "The text")->required()->type_name("FILE");

  SampleOptions sample_options;
  CLI::App* sample_command = app.add_subcommand("sample", "Print text that a trained model makes up");
  sample_command->add_option("--checkpoint", sample_options.checkpoint, "A checkpoint file")
      ->required()
      ->type_name("FILE");
  sample_command->add_option("--prompt", sample_options.prompt, "How the text begins")->type_name("TEXT");
  sample_command->add_option("--length", sample_options.length, "Bytes to add")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber)
      ->type_name("N");
  sample_command->add_option("--seed", sample_options.seed, "Another seed, another text")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber)
      ->type_name("N");
  sample_command
      ->add_option("--temperature", sample_options.temperature, "0 = always the likeliest byte; 1 = as the model says")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber)
      ->type_name("X");

  std::size_t reduce_count = 1'000'003;
  WorldOptions reduce_world;
  CLI::App* reduce_command =
      app.add_subcommand("reduce-check", "Check one all-reduce over all ranks against its exact sum");
  reduce_command->add_option("--count", reduce_count, "Elements (float32)")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber)
      ->type_name("N");
  add_world_options(*reduce_command, reduce_world);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    std::fprintf(stderr, "ultra-train: %s (see ultra-train --help)\n", error.what());
    return 2;
  }
  if (*baseline_command) return baseline(baseline_data);
  if (*sample_command) return sample(sample_options);
  if (*reduce_command) {
    return run_ranks(reduce_world, choose_world(reduce_world),
                     [&](Communicator& communicator, Device& device, ProgressReporter& progress) {
                       return run_reduce_check(reduce_count, communicator, device, progress, stdout,
                                               deadline_of(reduce_world));
                     });
  }
  return train(options, world);
}

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // lines are followed while training goes on
  try {
    return run_command_line(argc, argv);
  } catch (const std::exception& error) {
    return explain(error);
  }
}
