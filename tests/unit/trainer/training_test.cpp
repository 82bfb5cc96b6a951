// Training as a whole, on threads: equal to one rank, equal to itself, equal after a resume, and learning.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <map>

#include "scheduler/protocol/codec.h"
#include "scheduler/protocol/progress_messages.h"
#include "support.h"
#include "worker/trainer/run.h"
#include "worker/trainer/sample.h"
#include "worker/trainer/trainer.h"

namespace ultramarine::trainer {
namespace {

using testing::Each;
using testing::HasSubstr;

struct Curve {
  std::vector<double> losses;
  std::vector<std::vector<std::uint64_t>> hashes;  // by step, by rank
  double held_out = 0;
};

Curve train(const TrainOptions& options, const Corpus& corpus, int ranks) {
  Curve curve;
  curve.losses.resize(static_cast<std::size_t>(options.steps));
  curve.hashes.assign(curve.losses.size(), std::vector<std::uint64_t>(static_cast<std::size_t>(ranks)));
  const auto errors = on_ranks(ranks, [&](collectives::Communicator& communicator) {
    Trainer trainer(options, corpus, communicator);
    const auto rank = static_cast<std::size_t>(communicator.rank());
    for (std::size_t i = 0; i < curve.losses.size(); ++i) {
      const StepResult result = trainer.step(false);
      curve.hashes[i][rank] = trainer.parameter_hash();
      if (rank == 0) curve.losses[i] = result.loss;
    }
    const double held_out = trainer.evaluate();
    if (rank == 0) curve.held_out = held_out;
  });
  EXPECT_THAT(errors, Each(""));
  return curve;
}

TEST(Training, AnyNumberOfRanksFollowsTheCurveOfOne) {
  const Corpus corpus = small_corpus();
  const TrainOptions options = tiny_options();
  const Curve one = train(options, corpus, 1);
  EXPECT_NEAR(one.losses.front(), std::log(256.0), 0.1);
  EXPECT_LT(one.losses.back(), 3.5);
  for (const int ranks : {2, 4}) {
    const Curve several = train(options, corpus, ranks);
    for (std::size_t i = 0; i < one.losses.size(); ++i) {
      EXPECT_NEAR(several.losses[i], one.losses[i], 1e-4) << ranks << " ranks, step " << i + 1;
      EXPECT_THAT(several.hashes[i], Each(several.hashes[i][0])) << "all ranks hold the same bits after step " << i + 1;
    }
    EXPECT_NEAR(several.held_out, one.held_out, 1e-4);
  }
}

TEST(Training, MicroBatchesAddUpToTheBatch) {
  const Corpus corpus = small_corpus();
  TrainOptions options = tiny_options();
  options.steps = 20;
  const Curve whole = train(options, corpus, 1);
  options.micro_batch = 3;  // 3 + 3 + 2
  const Curve parts = train(options, corpus, 1);
  for (std::size_t i = 0; i < whole.losses.size(); ++i) EXPECT_NEAR(parts.losses[i], whole.losses[i], 1e-4);
}

TEST(Training, TheSameRunTwiceHasTheSameBits) {
  const Corpus corpus = small_corpus();
  const TrainOptions options = tiny_options();
  const Curve first = train(options, corpus, 2), second = train(options, corpus, 2);
  EXPECT_EQ(first.losses, second.losses);
  EXPECT_EQ(first.hashes, second.hashes);
  EXPECT_EQ(first.held_out, second.held_out);
  TrainOptions other = options;
  other.seed = 2;
  EXPECT_NE(train(other, corpus, 2).hashes.back(), first.hashes.back());
}

TEST(Training, RanksWhoseParametersDifferAreFoundAtTheStepAndAllStop) {
  const Corpus corpus = small_corpus();
  const TrainOptions options = tiny_options();
  const auto errors = on_ranks(3, [&](collectives::Communicator& communicator) {
    Trainer trainer(options, corpus, communicator);
    trainer.step(false);
    // The lowest bit of one number on one rank (a norm's weight, near 1: small numbers may lose the bit in the next
    // update).
    if (communicator.rank() == 1)
      trainer.set_parameter(0, std::nextafter(trainer.parameters()[0], 0.0F));
    trainer.step(false);
  });
  EXPECT_THAT(errors, Each(HasSubstr("step 2: the ranks' parameters are not the same any more: rank 1 has ")));
  EXPECT_THAT(errors, Each(HasSubstr(", the other 2 have ")));
}

TEST(Training, OnTheCpuAStepIsWhatThePlainFunctionsGiveBitByBit) {
  const Corpus corpus = small_corpus();
  TrainOptions options = tiny_options();
  options.micro_batch = 3;  // 3 + 3 + 2
  Model<float> model(options.model, options.micro_batch);
  const std::size_t count = model.layout().parameter_count();
  Arena<float> parameters(count), first(count), second(count), gradients(count);
  initialize(model.layout(), options.seed, parameters);
  std::vector<double> losses;
  for (std::int64_t step = 1; step <= 5; ++step) {
    std::fill(gradients.begin(), gradients.end(), 0.0F);
    float sum = 0;
    for (std::int64_t begin = 0; begin < options.global_batch; begin += options.micro_batch) {
      const std::int64_t samples = std::min(options.micro_batch, options.global_batch - begin);
      std::vector<std::uint8_t> tokens, targets;
      for (std::int64_t i = 0; i < samples; ++i) {
        const Bytes bytes = corpus.sample(options.seed, step, begin + i, options.model.context);
        tokens.insert(tokens.end(), bytes.begin(), bytes.end() - 1);
        targets.insert(targets.end(), bytes.begin() + 1, bytes.end());
      }
      for (const float loss : model.forward(parameters.data(), tokens, targets, samples)) sum += loss;
      model.backward(parameters.data(), gradients.data());
    }
    const double average = 1.0 / static_cast<double>(options.global_batch), norm = norm_of(gradients) * average;
    losses.push_back(static_cast<double>(sum) * average);
    const double clip = norm > options.optimizer.gradient_norm_max ? options.optimizer.gradient_norm_max / norm : 1.0;
    update(options.optimizer, model.layout(), step, learning_rate_at(options.optimizer, step, options.steps),
           average * clip, [&](const Tensor& tensor, const AdamwStep& own) {
             adamw(tensor.count, own, &gradients[tensor.offset], &parameters[tensor.offset], &first[tensor.offset],
                   &second[tensor.offset]);
           });
  }
  const auto errors = on_ranks(1, [&](collectives::Communicator& communicator) {
    Trainer trainer(options, corpus, communicator);
    for (const double loss : losses) EXPECT_EQ(trainer.step(false).loss, loss);
    EXPECT_EQ(trainer.parameters(), parameters);
    EXPECT_EQ(trainer.first_moments(), first);
    EXPECT_EQ(trainer.second_moments(), second);
  });
  EXPECT_THAT(errors, Each(""));
}

TEST(Training, ANumberThatIsNoneEndsTheRunOnAllRanks) {
  const Corpus corpus = small_corpus();
  const TrainOptions options = tiny_options();
  const auto errors = on_ranks(2, [&](collectives::Communicator& communicator) {
    Trainer trainer(options, corpus, communicator);
    if (communicator.rank() == 1) trainer.set_parameter(0, std::nanf(""));
    trainer.step(false);
  });
  EXPECT_THAT(errors, Each(HasSubstr("step 1: the loss is not finite")));
}

TEST(Training, OptionsThatCanNotWorkNameThemselves) {
  const auto message = [](const std::function<void(TrainOptions&)>& change, int ranks = 1) -> std::string {
    TrainOptions options = tiny_options();
    change(options);
    try {
      validate(options, ranks);
    } catch (const InputError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message([](TrainOptions&) {}), "");
  EXPECT_EQ(message([](TrainOptions&) {}, 3),
            "--global-batch: 8 samples can't be shared evenly by 3 ranks; use a multiple of 3");
  EXPECT_EQ(message([](TrainOptions& o) { o.model.heads = 3; }), "--width: 16 isn't a multiple of --heads 3");
  EXPECT_EQ(message([](TrainOptions& o) { o.resume = true; }), "--resume: needs --checkpoint-directory to resume from");
  EXPECT_EQ(message([](TrainOptions& o) { o.checkpoint_every = 5; }),
            "--checkpoint-every: needs --checkpoint-directory");
  EXPECT_EQ(message([](TrainOptions& o) { o.steps = 0; }), "--steps: at least 1");
}

/// run_training on threads; what rank 0 printed, and the exit codes.
struct Outcome {
  std::string out, errors;
  std::vector<int> codes;
  std::vector<std::string> thrown;
};

Outcome run(const TrainOptions& options, const Corpus& corpus, int ranks, const std::string& progress_path = "",
            bool stop_one = false) {
  char *out_text = nullptr, *error_text = nullptr;
  std::size_t out_size = 0, error_size = 0;
  std::FILE* out = open_memstream(&out_text, &out_size);
  std::FILE* errors = open_memstream(&error_text, &error_size);
  Outcome outcome;
  outcome.codes.resize(static_cast<std::size_t>(ranks), -1);
  std::atomic<bool> never = false, stop = stop_one;
  outcome.thrown = on_ranks(ranks, [&](collectives::Communicator& communicator) {
    ProgressReporter progress(progress_path, communicator.rank());
    // Only the last rank is asked to stop: the others must hear of it.
    const bool asked = communicator.rank() == ranks - 1;
    outcome.codes[static_cast<std::size_t>(communicator.rank())] =
        run_training(options, corpus, communicator, cpu_device(), progress, out, errors, asked ? stop : never);
  });
  std::fclose(out);
  std::fclose(errors);
  outcome.out.assign(out_text, out_size);
  outcome.errors.assign(error_text, error_size);
  free(out_text);
  free(error_text);
  return outcome;
}

std::string final_hash(const std::string& out) {
  const std::size_t at = out.rfind("parameters ");
  return at == std::string::npos ? "none in: " + out : out.substr(at + 11, 16);
}

TEST(Resume, EqualsAnUnbrokenRunBitByBit) {
  const Corpus corpus = small_corpus();
  TrainOptions options = tiny_options();
  options.steps = 30;
  const Outcome unbroken = run(options, corpus, 2);
  EXPECT_THAT(unbroken.codes, Each(0));

  const TemporaryFolder folder;
  options.checkpoint_directory = folder.path();
  options.checkpoint_every = 10;
  options.resume = true;
  const Outcome whole = run(options, corpus, 2);
  EXPECT_THAT(whole.out, HasSubstr("no checkpoint at step 0 in"));
  EXPECT_EQ(final_hash(whole.out), final_hash(unbroken.out));
  // As if it had been cut off after step 20; and once more with that checkpoint damaged, after step 10.
  std::filesystem::remove(folder / "step_00000030.checkpoint");
  const Outcome from_20 = run(options, corpus, 2);
  EXPECT_THAT(from_20.out, HasSubstr("resuming from step 20"));
  EXPECT_EQ(final_hash(from_20.out), final_hash(unbroken.out));
  std::filesystem::remove(folder / "step_00000030.checkpoint");
  std::filesystem::resize_file(folder / "step_00000020.checkpoint", 1000);
  const Outcome from_10 = run(options, corpus, 2);
  EXPECT_THAT(from_10.errors, HasSubstr("passed over " + (folder / "step_00000020.checkpoint")));
  EXPECT_THAT(from_10.out, HasSubstr("resuming from step 10"));
  EXPECT_EQ(final_hash(from_10.out), final_hash(unbroken.out));
  // A run that was complete only evaluates again.
  EXPECT_EQ(final_hash(run(options, corpus, 2).out), final_hash(unbroken.out));
}

TEST(Resume, WorksOnAnotherNumberOfRanks) {
  const Corpus corpus = small_corpus();
  TrainOptions options = tiny_options();
  options.steps = 20;
  const Curve one = train(options, corpus, 1);
  const TemporaryFolder folder;
  options.checkpoint_directory = folder.path();
  options.checkpoint_every = 10;
  run(options, corpus, 1);
  std::filesystem::remove(folder / "step_00000020.checkpoint");
  const auto checkpoint = load_newest_checkpoint(folder.path(), [](const std::string&, const std::string&) {});
  ASSERT_TRUE(checkpoint);
  on_ranks(4, [&](collectives::Communicator& communicator) {
    Trainer trainer(options, corpus, communicator);
    trainer.restore(communicator.rank() == 0 ? &*checkpoint : nullptr);
    for (std::size_t step = 11; step <= 20; ++step) EXPECT_NEAR(trainer.step(false).loss, one.losses[step - 1], 1e-4);
  });
}

TEST(Resume, RefusesACheckpointOfAnotherRunOnAllRanks) {
  const TemporaryFolder folder;
  const Corpus corpus = small_corpus();
  TrainOptions options = tiny_options();
  options.steps = 2;
  options.checkpoint_directory = folder.path();
  options.data = "other.txt";
  run(options, corpus, 1);
  options.resume = true;
  EXPECT_THAT(run(options, small_corpus(10'000), 2).thrown[0], HasSubstr("--data: other.txt isn't the text"));
  options.seed = 5;
  Outcome outcome = run(options, corpus, 2);
  EXPECT_THAT(outcome.thrown[0], HasSubstr("was made with --seed 1, not 5"));
  EXPECT_THAT(outcome.thrown[1], HasSubstr("rank 0 refused the checkpoint"));
  options.seed = 1;
  options.model.width = 32;
  EXPECT_THAT(run(options, corpus, 2).thrown[0], HasSubstr("was made with --width 16, not 32"));
}

TEST(Stop, ARequestToOneRankStopsAllAfterTheStepWithACheckpoint) {
  const TemporaryFolder folder;
  const Corpus corpus = small_corpus();
  TrainOptions options = tiny_options();
  Outcome outcome = run(options, corpus, 2, "", true);
  EXPECT_THAT(outcome.codes, Each(stopped_exit_code)) << "nothing was saved";
  options.checkpoint_directory = folder.path();
  outcome = run(options, corpus, 2, "", true);
  EXPECT_THAT(outcome.codes, Each(resumable_exit_code));
  EXPECT_THAT(outcome.errors, HasSubstr("asked to stop: step 1 of 50 is done, go on with --resume"));
  EXPECT_TRUE(std::filesystem::exists(folder / "step_00000001.checkpoint"));
  options.steps = 1;
  options.resume = false;
  EXPECT_THAT(run(options, corpus, 2, "", true).codes, Each(0)) << "the run was complete anyway";
}

/// The node's side of ULTRA_PROGRESS: gathers what arrives, answers checkpoints.
class Listener {
 public:
  explicit Listener(const std::string& path) {
    socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(::bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    thread_ = std::thread([this] { receive(); });
  }
  ~Listener() { ::close(socket_); }

  std::vector<protocol::ProgressMessage> finish() {
    ::shutdown(socket_, SHUT_RD);  // ends the thread once everything that arrived is read
    thread_.join();
    return std::move(messages_);
  }

 private:
  void receive() {
    char text[4096];
    for (;;) {
      sockaddr_un from{};
      socklen_t from_size = sizeof from;
      const ssize_t size = ::recvfrom(socket_, text, sizeof text, 0, reinterpret_cast<sockaddr*>(&from), &from_size);
      if (size <= 0) return;
      messages_.push_back(
          protocol::from_json<protocol::ProgressMessage>(std::string_view(text, static_cast<std::size_t>(size))));
      if (std::holds_alternative<protocol::CheckpointProgress>(messages_.back())) {
        ::sendto(socket_, "recorded", 8, 0, reinterpret_cast<const sockaddr*>(&from), from_size);
      }
    }
  }
  int socket_;
  std::thread thread_;
  std::vector<protocol::ProgressMessage> messages_;
};

TEST(Progress, TellsStepsPhasesCheckpointsAndEqualCollectivesOfAllRanks) {
  const TemporaryFolder folder;
  Listener listener(folder / "progress.sock");
  const Corpus corpus = small_corpus();
  TrainOptions options = tiny_options();
  options.steps = 7;
  options.checkpoint_directory = folder / "checkpoints";
  const Outcome outcome = run(options, corpus, 4, folder / "progress.sock");
  EXPECT_THAT(outcome.out, HasSubstr("checkpoint recorded by the scheduler"));
  std::map<std::int64_t, protocol::CollectiveProgress> last_of_rank;
  protocol::StepProgress last_step;
  std::vector<std::string> phases, checkpoints;
  for (const auto& message : listener.finish()) {
    if (const auto* collective = std::get_if<protocol::CollectiveProgress>(&message))
      last_of_rank[collective->rank] = *collective;
    if (const auto* step = std::get_if<protocol::StepProgress>(&message)) last_step = *step;
    if (const auto* phase = std::get_if<protocol::PhaseProgress>(&message)) phases.push_back(phase->name);
    if (const auto* checkpoint = std::get_if<protocol::CheckpointProgress>(&message))
      checkpoints.push_back(checkpoint->path);
  }
  EXPECT_EQ(last_step.step, 7);
  EXPECT_EQ(last_step.tokens, 7 * 8 * 12);
  EXPECT_GT(last_step.tokens_per_s, 0);
  const auto& model = options.model;
  EXPECT_EQ(last_step.flops_per_token, static_cast<double>(6 * static_cast<std::int64_t>(Layout(model).parameter_count()) + 12 * model.layers * model.context * model.width));
  EXPECT_LT(last_step.loss, 5.6);
  // All ranks say that they evaluate: each node looks at its own. One saves. Every phase is ended.
  EXPECT_THAT(phases, testing::UnorderedElementsAre("evaluating", "evaluating", "evaluating", "evaluating", "saving a checkpoint", "", "", "", "", ""));
  EXPECT_THAT(checkpoints, testing::ElementsAre(folder / "checkpoints/step_00000007.checkpoint"));
  ASSERT_EQ(last_of_rank.size(), 4U);
  // The start's broadcast, an all-reduce and an all-gather of a checksum each step, one all-reduce of the evaluation.
  const auto parameters = static_cast<std::int64_t>(Layout(options.model).parameter_count());
  for (const auto& [rank, collective] : last_of_rank) {
    EXPECT_EQ(collective.count, 1 + 2 * 7 + 1) << rank;
    EXPECT_EQ(collective.bytes, 4 * parameters + 7 * (4 * (parameters + 2) + 8 * 4) + 8) << rank;
  }
}

TEST(Progress, ReachesASocketWhosePathIsTooLongForAnAddressAndNeedsNoListener) {
  const TemporaryFolder folder;
  const std::string deep = folder / std::string(120, 'd');
  std::filesystem::create_directory(deep);
  std::filesystem::create_symlink(deep, folder / "s");
  Listener listener(folder / "s/p.sock");
  {
    ProgressReporter progress(deep + "/p.sock", 3);
    progress.collectives({.collectives = 5, .bytes = 60}, true);
    progress.step(1, 2.0, 3.0, 4, 600.0, true);
    EXPECT_FALSE(progress.recorded());
  }
  EXPECT_EQ(listener.finish().size(), 2U);
  ProgressReporter nobody(folder / "gone.sock", 0);
  nobody.step(1, 2.0, 3.0, 4, 600.0, true);
  nobody.checkpoint(1, "x");
  EXPECT_FALSE(nobody.recorded(std::chrono::hours(1))) << "no answer is awaited when the message didn't arrive";
}

TEST(Learning, ATinyModelLearnsTheAlphabetAndSaysIt) {
  std::string text;
  while (text.size() < 4000) text += "abcdefghijklmnopqrstuvwxyz. ";
  const Corpus corpus(std::vector<std::uint8_t>(text.begin(), text.end()));
  const TemporaryFolder folder;
  TrainOptions options = tiny_options();
  options.steps = 200;
  options.optimizer.learning_rate = 1e-2;
  options.checkpoint_directory = folder.path();
  const Outcome outcome = run(options, corpus, 1);
  const std::size_t at = outcome.out.find("held-out loss ");
  ASSERT_NE(at, std::string::npos) << outcome.out;
  EXPECT_LT(std::stod(outcome.out.substr(at + 14)), 0.4);
  const Checkpoint checkpoint = load_checkpoint(folder / "step_00000200.checkpoint");
  EXPECT_EQ(sample_text(checkpoint, "mnop", 20, 1, 0), "qrstuvwxyz. abcdefgh");
  EXPECT_EQ(sample_text(checkpoint, "", 40, 7, 1.0), sample_text(checkpoint, "", 40, 7, 1.0));
  EXPECT_NE(sample_text(checkpoint, "", 40, 7, 3.0), sample_text(checkpoint, "", 40, 8, 3.0));
}

TEST(ReduceCheck, IsExactOnAnyNumberOfRanks) {
  for (const int ranks : {1, 3, 8}) {
    char* text = nullptr;
    std::size_t size = 0;
    std::FILE* out = open_memstream(&text, &size);
    const auto errors = on_ranks(ranks, [&](collectives::Communicator& communicator) {
      ProgressReporter progress("", communicator.rank());
      EXPECT_EQ(run_reduce_check(1003, communicator, cpu_device(), progress, out, std::chrono::seconds(20)), 0);
    });
    std::fclose(out);
    EXPECT_THAT(errors, Each(""));
    EXPECT_EQ(std::string(text, size)
                  .find("all_reduce over " + std::to_string(ranks) + " ranks: sum exact (1,003 float32 elements"),
              0U);
    free(text);
  }
}

}  // namespace
}  // namespace ultramarine::trainer
