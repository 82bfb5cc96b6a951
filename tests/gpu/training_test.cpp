// Training on the CUDA device: the curve of the CPU, of one rank on two, and its own bits again.
#include <cmath>
#include <cstdlib>
#include <thread>

#include "tests/gpu/device.h"
#include "tests/unit/trainer/support.h"
#include "worker/trainer/hash.h"
#include "worker/trainer/trainer.h"

#include "collectives/backends.h"

namespace ultramarine::trainer {
namespace {

struct Curve {
  std::vector<double> losses;
  std::vector<std::string> hashes, errors;  // by rank
  double held_out = 0;
};

/// 100 where ULTRAMARINE_TRAINING_STEPS says so (on a GPU).
std::int64_t steps() {
  const char* text = std::getenv("ULTRAMARINE_TRAINING_STEPS");
  return text ? std::atoll(text) : 20;
}

/// Two layers; odd enough that no tile fits.
TrainOptions options() {
  TrainOptions options = tiny_options();
  options.model = {.layers = 2, .heads = 3, .width = 18, .context = 9};
  options.global_batch = 6;
  options.micro_batch = 3;
  options.steps = steps();
  options.evaluation_batches = 1;
  options.collective_deadline = std::chrono::seconds(60);
  return options;
}

Curve train(const std::string& backend, int ranks, bool cuda, int devices = 1) {
  const Corpus corpus = small_corpus();
  const TrainOptions chosen = options();
  Curve curve;
  curve.hashes.resize(static_cast<std::size_t>(ranks));
  curve.errors.resize(static_cast<std::size_t>(ranks));
  auto communicators = collectives::find_backend(backend).make(ranks);
  std::vector<std::thread> threads;
  for (auto& communicator : communicators) {
    threads.emplace_back([&] {
      const auto rank = static_cast<std::size_t>(communicator->rank());
      try {
        const auto device = cuda ? make_cuda_device(communicator->rank() % devices) : nullptr;
        Trainer trainer(chosen, corpus, *communicator, device ? *device : cpu_device());
        for (std::int64_t step = 0; step < chosen.steps; ++step) {
          const double loss = trainer.step(false).loss;
          if (rank == 0) curve.losses.push_back(loss);
        }
        const double held_out = trainer.evaluate();
        if (rank == 0) curve.held_out = held_out;
        curve.hashes[rank] = hash_text(trainer.parameter_hash());
      } catch (const std::exception& error) {
        curve.errors[rank] = error.what();
      }
      communicator.reset();
    });
  }
  for (auto& thread : threads) thread.join();
  for (const std::string& error : curve.errors) EXPECT_EQ(error, "");
  return curve;
}

void expect_near(const Curve& got, const Curve& expected) {
  ASSERT_EQ(got.losses.size(), expected.losses.size());
  for (std::size_t i = 0; i < got.losses.size(); ++i)
    EXPECT_NEAR(got.losses[i], expected.losses[i], 1e-4) << "step " << i + 1;
  EXPECT_NEAR(got.held_out, expected.held_out, 1e-4);
  EXPECT_LT(got.losses.back(), got.losses.front() - 0.05) << "it learns";
}

class CudaTraining : public testing::Test {
 protected:
  static void skip_without(int devices) {
    if (const std::string reason = why_no_cuda(devices); !reason.empty()) GTEST_SKIP() << reason;
  }
  static const Curve& one_rank() {
    static const Curve curve = train("in_process", 1, true);
    return curve;
  }
};
#define NEEDS_DEVICES(number) \
  skip_without(number);       \
  if (IsSkipped()) return

TEST_F(CudaTraining, FollowsTheCurveOfTheCpu) {
  NEEDS_DEVICES(1);
  expect_near(one_rank(), train("in_process", 1, false));
}

TEST_F(CudaTraining, TheSameRunTwiceHasTheSameBits) {
  NEEDS_DEVICES(1);
  const Curve again = train("in_process", 1, true);
  EXPECT_EQ(again.hashes, one_rank().hashes);
  EXPECT_EQ(again.losses, one_rank().losses);
}

TEST_F(CudaTraining, TwoRanksThroughHostMemoryFollowOne) {
  NEEDS_DEVICES(1);
  const Curve two = train("in_process", 2, true);
  EXPECT_EQ(two.hashes[0], two.hashes[1]);
  expect_near(two, one_rank());
}

TEST_F(CudaTraining, TwoRanksOverNcclFollowOneAndRepeatTheirBits) {
  NEEDS_DEVICES(2);
  const Curve two = train("nccl", 2, true, 2);
  EXPECT_EQ(two.hashes[0], two.hashes[1]);
  expect_near(two, one_rank());
  EXPECT_EQ(train("nccl", 2, true, 2).hashes, two.hashes);
}

TEST_F(CudaTraining, AWorldOfAllGpusOverNcclFollowsOne) {
  NEEDS_DEVICES(1);
  int ranks = collectives::cuda_plugin().plugin->device_count();
  while (options().global_batch % ranks != 0) --ranks;
  const Curve all = train("nccl", ranks, true, ranks);
  expect_near(all, one_rank());
}

}  // namespace
}  // namespace ultramarine::trainer
