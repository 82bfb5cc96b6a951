// One rank of data-parallel training: its slice of each global batch, the all-reduce of the gradients, the update, and
// the check that all ranks still hold the same bits. Knows a Communicator and a Corpus; prints nothing, writes no
// files.
#pragma once

#include <cstdint>

#include "collectives/communicator.h"
#include "worker/trainer/checkpoint.h"
#include "worker/trainer/corpus.h"
#include "worker/trainer/options.h"

namespace ultramarine::trainer {

struct StepResult {
  std::int64_t step = 0;  // the one just done, from 1
  double loss = 0;        // mean over the global batch before the update, nats per token
  double learning_rate = 0;
  double gradient_norm = 0;  // of the averaged gradient, before clipping
  bool stop = false;         // some rank was asked to stop; the same answer on all ranks
};

/// The ranks' parameters differ, or the loss is not a number. Not repairable: resume from a checkpoint.
struct TrainingError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Trainer {
 public:
  /// Every rank starts from the same initialisation (rank 0's bits, by broadcast). `options` were validated; all three
  /// must outlive this.
  Trainer(const TrainOptions& options, const Corpus& corpus, collectives::Communicator& communicator);

  /// Goes on from `checkpoint`, which only rank 0 needs to have (others pass nullptr, and may, if rank 0 does too: then
  /// nothing happens).
  void restore(const Checkpoint* checkpoint);

  /// One step on all ranks. Throws TrainingError, CollectiveError.
  StepResult step(bool stop_requested);

  /// Mean loss in nats per byte over fixed windows of the held-out part, the same for every number of ranks.
  double evaluate();
  std::int64_t evaluation_windows() const;

  std::int64_t steps_done() const { return steps_done_; }
  std::int64_t tokens_per_step() const { return options_.global_batch * options_.model.context; }
  std::uint64_t parameter_hash() const;
  std::size_t parameter_count() const { return model_.layout().parameter_count(); }
  CheckpointManifest manifest() const;
  std::span<const float> parameters() const { return parameters_; }
  std::span<const float> first_moments() const { return first_moments_; }
  std::span<const float> second_moments() const { return second_moments_; }
  /// For tests: the memory that the check after each step looks at.
  std::span<float> mutable_parameters() { return parameters_; }

 private:
  void append_tokens(Bytes bytes);
  void clear_tokens();
  void reduce(void* data, std::size_t count, collectives::DataType type, collectives::Operation operation);
  void broadcast(void* data, std::size_t count, collectives::DataType type);
  void check_parameters();

  const TrainOptions& options_;
  const Corpus& corpus_;
  collectives::Communicator& communicator_;
  std::int64_t micro_batch_;
  Model<float> model_;
  Arena<float> parameters_, first_moments_, second_moments_;
  Arena<float> gradients_;  // [parameter_count + 2]: behind the gradients, the loss and the number of ranks asked to
                            // stop, so that one all-reduce a step carries everything
  std::vector<std::uint8_t> tokens_, targets_;  // of one micro-batch
  std::int64_t steps_done_ = 0;
};

}  // namespace ultramarine::trainer
