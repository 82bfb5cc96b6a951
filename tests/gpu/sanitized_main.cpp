// A few steps of training on fake GPUs, one thread per rank, reduced over the fake NCCL; everything but the fakes
// compiled with a sanitizer. It prints the final loss. Which rule is broken on purpose, FAKE_CUDA_FAULT says.
//
//   gpu_tsan RANKS STEPS
#include <cstdio>
#include <cstdlib>
#include <future>
#include <thread>

#include "collectives/nccl/nccl_communicator.h"
#include "worker/trainer/device/cuda/cuda_device.h"
#include "worker/trainer/trainer.h"

using namespace ultramarine;
using namespace ultramarine::trainer;

namespace {

TrainOptions tiny(int ranks, int steps) {
  TrainOptions options;
  options.model = {.layers = 1, .heads = 2, .width = 6, .context = 4};
  options.steps = steps;
  options.global_batch = ranks;
  options.collective_deadline = std::chrono::seconds(100);
  return options;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) return 2;
  const int ranks = std::atoi(arguments[1]), steps = std::atoi(arguments[2]);
  const TrainOptions options = tiny(ranks, steps);
  std::vector<std::uint8_t> text(2000);
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<std::uint8_t>(i * i % 7);
  const Corpus corpus(std::move(text));
  std::promise<std::string> from_root;
  const std::shared_future<std::string> everywhere = from_root.get_future().share();
  std::vector<std::thread> threads;
  std::atomic<int> failed = 0;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        const auto communicator = collectives::make_nccl({.rank = rank,
                                                          .world_size = ranks,
                                                          .device = rank,
                                                          .deadline = std::chrono::seconds(100),
                                                          .exchange = [&, rank](const std::string& bytes) {
                                                            if (rank == 0) from_root.set_value(bytes);
                                                            return everywhere.get();
                                                          }});
        const auto device = cuda::make_cuda_device(rank);
        Trainer trainer(options, corpus, *communicator, *device);
        for (int step = 0; step < steps; ++step) {
          const StepResult result = trainer.step(false);
          if (rank == 0) std::printf("step %d loss %.6f\n", step + 1, result.loss);
        }
      } catch (const std::exception& error) {
        std::fprintf(stderr, "rank %d: %s\n", rank, error.what());
        failed = 1;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  return failed;
}
