// What a training run is asked to do: the command line as a value.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "worker/trainer/model.h"
#include "worker/trainer/optimizer.h"

namespace ultramarine::trainer {

struct TrainOptions {
  std::string data;  // path of the corpus
  ModelConfig model;
  OptimizerConfig optimizer;
  std::int64_t steps = 1000;
  std::int64_t global_batch = 32;  // samples of `model.context` tokens per step, over all ranks
  std::int64_t micro_batch = 8;    // samples in one forward and backward pass at most
  std::uint64_t seed = 1;
  std::int64_t check_every = 1;  // steps between comparisons of the ranks' parameters
  std::int64_t log_every = 50;
  std::int64_t evaluation_every = 0;     // 0: only at the end
  std::int64_t evaluation_batches = 40;  // of global_batch windows; 0: the whole held-out part
  std::string checkpoint_directory;
  std::int64_t checkpoint_every = 0;  // 0: only when stopped early and at the end
  bool resume = false;
  std::chrono::milliseconds collective_deadline = std::chrono::minutes(5);
};

/// Throws InputError for what can't work on `world_size` ranks, naming the option.
void validate(const TrainOptions& options, int world_size);

}  // namespace ultramarine::trainer
