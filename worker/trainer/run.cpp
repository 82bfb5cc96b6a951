// The loop around Trainer. All ranks take the same turns, because every decision comes from numbers that were reduced.
#include "worker/trainer/run.h"

#include <memory>
#include <optional>

#include "worker/trainer/hash.h"
#include "worker/trainer/trainer.h"

namespace ultramarine::trainer {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

class Run {
 public:
  Run(const TrainOptions& options, const Corpus& corpus, collectives::Communicator& communicator, Device& device,
      ProgressReporter& progress, std::FILE* out, std::FILE* errors, const std::atomic<bool>& stop)
      : options_(options),
        communicator_(communicator),
        progress_(progress),
        out_(out),
        errors_(errors),
        stop_(stop),
        first_(communicator.rank() == 0),
        trainer_(options, corpus, communicator, device) {}

  int all() {
    if (first_ && !options_.checkpoint_directory.empty())
      fence_ = CheckpointFence::of_this_attempt(options_.checkpoint_directory);
    if (options_.resume) resume();
    if (first_) print_header();
    const auto start = Clock::now();
    const std::int64_t steps_before = trainer_.steps_done();
    bool stopped = false;
    mark_ = Clock::now();
    mark_step_ = message_step_ = trainer_.steps_done();
    message_mark_ = mark_;
    while (trainer_.steps_done() < options_.steps && !stopped) {
      const StepResult result = trainer_.step(stop_.load(std::memory_order_relaxed));
      const bool last = result.step == options_.steps;
      stopped = result.stop && !last;
      report(result, last || stopped);
      const bool regular = options_.checkpoint_every > 0 && result.step % options_.checkpoint_every == 0;
      if (!options_.checkpoint_directory.empty() && (regular || last || stopped)) save();
      if (!last && !stopped && options_.evaluation_every > 0 && result.step % options_.evaluation_every == 0)
        evaluate();
      if (first_ && progress_.recorded()) say_recorded();
    }
    int exit_code = 0;
    if (stopped) {
      exit_code = options_.checkpoint_directory.empty() ? stopped_exit_code : resumable_exit_code;
      if (first_) {
        std::fprintf(
            errors_, "ultra-train: asked to stop: step %lld of %lld is done, %s\n",
            static_cast<long long>(trainer_.steps_done()), static_cast<long long>(options_.steps),
            exit_code == resumable_exit_code ? "go on with --resume" : "nothing was saved (no --checkpoint-directory)");
      }
    } else {
      evaluate();
      if (first_) {
        std::fprintf(out_, "done: %s steps in %.1f s, parameters %s\n",
                     grouped(trainer_.steps_done() - steps_before).c_str(), seconds_since(start),
                     hash_text(trainer_.parameter_hash()).c_str());
      }
    }
    if (first_) {
      while (progress_.recorded(std::chrono::seconds(5))) say_recorded();
    }
    progress_.collectives(communicator_.counters(), true);
    return exit_code;
  }

 private:
  void resume() {
    std::optional<Checkpoint> checkpoint;
    std::string problem;
    if (first_) {
      checkpoint = load_newest_checkpoint(
          options_.checkpoint_directory, [this](const std::string& path, const std::string& text) {
            std::fprintf(errors_, "ultra-train: passed over %s: %s\n", path.c_str(), text.c_str());
          });
      if (checkpoint) problem = difference(checkpoint->manifest, trainer_.manifest());
      if (problem.empty()) {
        std::fprintf(out_,
                     checkpoint ? "resuming from step %s of %s\n"
                                : "no checkpoint at step %s in %s: starting from the beginning\n",
                     grouped(checkpoint ? checkpoint->manifest.step : 0).c_str(),
                     options_.checkpoint_directory.c_str());
      }
    }
    // The others must hear of a refusal, or they would wait for a broadcast that never comes.
    if (trainer_.any_rank(!problem.empty()))
      throw InputError(first_ ? problem : "--resume: rank 0 refused the checkpoint");
    trainer_.restore(checkpoint ? &*checkpoint : nullptr);
  }

  /// Why a run with `own` settings can't go on from a checkpoint with `stored` ones; empty if it can.
  std::string difference(const CheckpointManifest& stored, const CheckpointManifest& own) const {
    const auto differs = [&](const char* option, std::int64_t a, std::int64_t b) {
      return "--resume: the checkpoint in " + options_.checkpoint_directory + " was made with " + option + " " +
             std::to_string(a) + ", not " + std::to_string(b);
    };
    if (stored.layers != own.layers) return differs("--layers", stored.layers, own.layers);
    if (stored.heads != own.heads) return differs("--heads", stored.heads, own.heads);
    if (stored.width != own.width) return differs("--width", stored.width, own.width);
    if (stored.context != own.context) return differs("--context", stored.context, own.context);
    if (stored.global_batch != own.global_batch)
      return differs("--global-batch", stored.global_batch, own.global_batch);
    if (stored.seed != own.seed) return differs("--seed", stored.seed, own.seed);
    if (stored.step > options_.steps) return differs("more steps, that is", stored.step, options_.steps);
    if (stored.data_hash != own.data_hash)
      return "--data: " + options_.data + " isn't the text that the checkpoint in " + options_.checkpoint_directory +
             " was trained on";
    return "";
  }

  void print_header() const {
    const ModelConfig& model = options_.model;
    std::fprintf(out_,
                 "%s parameters: %lld layers, %lld heads, width %lld, context %lld\n"
                 "%d ranks (%s), %s tokens per step (%lld samples), %s steps\n",
                 grouped(static_cast<std::int64_t>(trainer_.parameter_count())).c_str(),
                 static_cast<long long>(model.layers), static_cast<long long>(model.heads),
                 static_cast<long long>(model.width), static_cast<long long>(model.context), communicator_.world_size(),
                 std::string(communicator_.backend()).c_str(), grouped(trainer_.tokens_per_step()).c_str(),
                 static_cast<long long>(options_.global_batch), grouped(options_.steps).c_str());
  }

  void report(const StepResult& result, bool last) {
    progress_.collectives(communicator_.counters(), false);
    if (!first_) return;
    const auto now = Clock::now();
    const double since_message = std::chrono::duration<double>(now - message_mark_).count();
    if (since_message >= 0.1 || last) {
      const double speed =
          static_cast<double>((result.step - message_step_) * trainer_.tokens_per_step()) / since_message;
      progress_.step(result.step, result.loss, speed, result.step * trainer_.tokens_per_step(),
                     trainer_.flops_per_token(), last);
      message_mark_ = now;
      message_step_ = result.step;
    }
    if (result.step != 1 && result.step % options_.log_every != 0 && !last) return;
    const double each = seconds_since(mark_) / static_cast<double>(result.step - mark_step_);
    std::fprintf(out_, "step %6lld/%lld  loss %.4f  lr %.2e  norm %.2f  %8s tok/s  %.1f ms\n",
                 static_cast<long long>(result.step), static_cast<long long>(options_.steps), result.loss,
                 result.learning_rate, result.gradient_norm,
                 grouped(static_cast<std::int64_t>(static_cast<double>(trainer_.tokens_per_step()) / each)).c_str(),
                 each * 1000);
    mark_ = Clock::now();
    mark_step_ = result.step;
  }

  void evaluate() {
    progress_.phase("evaluating", std::chrono::minutes(5));
    const auto start = Clock::now();
    const double loss = trainer_.evaluate();
    progress_.end_phase();
    if (!first_) return;
    std::fprintf(
        out_, "held-out loss %.4f nats/byte (%.4f bits/byte) after step %s, %s windows of %lld bytes, %.1f s\n", loss,
        loss * bits_per_nat, grouped(trainer_.steps_done()).c_str(), grouped(trainer_.evaluation_windows()).c_str(),
        static_cast<long long>(options_.model.context), seconds_since(start));
    mark_ = message_mark_ = Clock::now();
    mark_step_ = message_step_ = trainer_.steps_done();
  }

  void save() {
    if (!first_) return;
    progress_.phase("saving a checkpoint", std::chrono::minutes(10));
    const std::string path = save_checkpoint(options_.checkpoint_directory, trainer_.manifest(), trainer_.parameters(),
                                             trainer_.first_moments(), trainer_.second_moments(), fence_.get());
    progress_.end_phase();
    std::fprintf(out_, "checkpoint of step %s: %s\n", grouped(trainer_.steps_done()).c_str(), path.c_str());
    progress_.checkpoint(trainer_.steps_done(), path);
  }

  void say_recorded() const { std::fprintf(out_, "checkpoint recorded by the scheduler\n"); }

  const TrainOptions& options_;
  collectives::Communicator& communicator_;
  ProgressReporter& progress_;
  std::FILE* out_;
  std::FILE* errors_;
  const std::atomic<bool>& stop_;
  bool first_;  // this is rank 0
  Trainer trainer_;
  std::unique_ptr<CheckpointFence> fence_;         // of rank 0, in a job
  Clock::time_point mark_{}, message_mark_{};      // when the last log line and the last step message were due
  std::int64_t mark_step_ = 0, message_step_ = 0;  // and the steps done then
};

}  // namespace

std::string grouped(std::int64_t value) {
  std::string text = std::to_string(value);
  const std::size_t sign = value < 0 ? 1 : 0;
  for (std::size_t at = text.size(); at > sign + 3;) text.insert(at -= 3, ",");
  return text;
}

int run_training(const TrainOptions& options, const Corpus& corpus, collectives::Communicator& communicator,
                 Device& device, ProgressReporter& progress, std::FILE* out, std::FILE* errors,
                 const std::atomic<bool>& stop) {
  return Run(options, corpus, communicator, device, progress, out, errors, stop).all();
}

int run_reduce_check(std::size_t count, collectives::Communicator& communicator, Device& device,
                     ProgressReporter& progress, std::FILE* out, milliseconds deadline) {
  const auto ranks = static_cast<std::int64_t>(communicator.world_size());
  const auto stream = device.make_stream();
  Exchange exchange(communicator, device, *stream, deadline);
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i)
    values[i] = static_cast<float>(static_cast<std::int64_t>(i % 1000) + communicator.rank());
  const DeviceArray<float> on_device(device, count);
  stream->copy_to_device(on_device.data(), values.data(), on_device.bytes());
  exchange.reduce(exchange.buffer_of(on_device), collectives::Operation::sum);
  stream->copy_to_host(values.data(), on_device.data(), on_device.bytes());
  stream->synchronize();
  std::int64_t wrong = 0, sum = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t expected = static_cast<std::int64_t>(i % 1000) * ranks + ranks * (ranks - 1) / 2;
    if (values[i] != static_cast<float>(expected)) ++wrong;
    sum += static_cast<std::int64_t>(values[i]);
  }
  exchange.reduce({&wrong, 1, collectives::DataType::int64, collectives::Residence::host}, collectives::Operation::sum);
  progress.collectives(communicator.counters(), true);
  if (communicator.rank() == 0) {
    if (wrong == 0) {
      std::fprintf(out, "all_reduce over %d ranks: sum exact (%s float32 elements, adding up to %s on every rank)\n",
                   communicator.world_size(), grouped(static_cast<std::int64_t>(count)).c_str(), grouped(sum).c_str());
    } else {
      std::fprintf(out, "all_reduce over %d ranks: WRONG in %s elements\n", communicator.world_size(),
                   grouped(wrong).c_str());
    }
  }
  return wrong == 0 ? 0 : 1;
}

}  // namespace ultramarine::trainer
