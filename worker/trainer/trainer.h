// One rank of data-parallel training: its slice of each global batch, the all-reduce of the gradients, the update, and
// the check that all ranks still hold the same bits. Knows a Device, a Communicator and a Corpus; prints nothing,
// writes no files.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "collectives/communicator.h"
#include "worker/trainer/checkpoint.h"
#include "worker/trainer/corpus.h"
#include "worker/trainer/device/cpu/cpu_device.h"
#include "worker/trainer/exchange.h"
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
  /// Every rank starts from the same initialisation (rank 0's bits, by broadcast). `options` were validated; all four
  /// must outlive this. Parameters, gradients and moments live on `device`. A communicator that can't reach the
  /// device's memory gets copies of what it shall reduce.
  Trainer(const TrainOptions& options, const Corpus& corpus, collectives::Communicator& communicator,
          Device& device = cpu_device());

  /// Goes on from `checkpoint`, which only rank 0 needs to have (others pass nullptr, and may, if rank 0 does too: then
  /// nothing happens).
  void restore(const Checkpoint* checkpoint);

  /// One step on all ranks. Throws TrainingError, CollectiveError, DeviceError.
  StepResult step(bool stop_requested);

  /// Mean loss in nats per byte over fixed windows of the held-out part, the same for every number of ranks.
  double evaluate();
  std::int64_t evaluation_windows() const;

  std::int64_t steps_done() const { return steps_done_; }
  std::int64_t tokens_per_step() const { return options_.global_batch * options_.model.context; }
  std::uint64_t parameter_hash() const;
  std::size_t parameter_count() const { return model_.layout().parameter_count(); }
  /// Floating point operations of one token's forward and backward pass: 6 for each parameter and, in the attention, 12
  /// for each layer, position of the context and unit of the width (PaLM, Chowdhery 2022, appendix B).
  double flops_per_token() const {
    const ModelConfig& model = options_.model;
    return 6.0 * static_cast<double>(parameter_count()) +
           12.0 * static_cast<double>(model.layers * model.context * model.width);
  }
  CheckpointManifest manifest() const;
  /// Copies on the host.
  Arena<float> parameters() const { return on_host(parameters_); }
  Arena<float> first_moments() const { return on_host(first_moments_); }
  Arena<float> second_moments() const { return on_host(second_moments_); }
  /// Whether any rank says so; the same answer on all ranks, all of which must ask.
  bool any_rank(bool says);
  const Device& device() const { return device_; }
  /// For tests: changes what the next step and the check after it work on.
  void set_parameter(std::size_t index, float value);

 private:
  void append_tokens(Bytes bytes);
  void clear_tokens();
  Arena<float> on_host(const DeviceArray<float>& array) const;
  void check_parameters();

  const TrainOptions& options_;
  const Corpus& corpus_;
  collectives::Communicator& communicator_;
  Device& device_;
  const TrainingOperations& operations_;
  std::unique_ptr<Stream> stream_;
  Exchange exchange_;
  std::int64_t micro_batch_;
  Model<float> model_;
  DeviceArray<float> parameters_, first_moments_, second_moments_;
  DeviceArray<float> gradients_;  // [parameter_count + 2]: behind the gradients, the loss and the number of ranks asked
                                  // to stop, so that one all-reduce a step carries everything
  DeviceArray<double> squares_;   // [sum_scratch]
  DeviceArray<std::uint64_t> checksums_;        // [sum_scratch]
  std::vector<std::uint8_t> tokens_, targets_;  // of one micro-batch
  std::int64_t steps_done_ = 0;
};

}  // namespace ultramarine::trainer
