// A training run from the first line of output to the exit code: steps, log lines, evaluations, checkpoints, progress
// messages, and a clean stop on request. Called on every rank.
#pragma once

#include <atomic>
#include <cstdio>

#include "collectives/communicator.h"
#include "worker/trainer/corpus.h"
#include "worker/trainer/device/device.h"
#include "worker/trainer/options.h"
#include "worker/trainer/progress.h"

namespace ultramarine::trainer {

/// Stopped early, but a checkpoint was saved from which the run can be resumed.
constexpr int resumable_exit_code = 85;
/// Stopped early without --checkpoint-directory: as if the signal had ended it.
constexpr int stopped_exit_code = 143;

/// Only rank 0 writes to `out` and to `errors`. `stop` may turn true at any time and on any rank; the step under way is
/// finished. Returns the exit code, the same on all ranks. Throws InputError (a checkpoint of another run),
/// TrainingError, CollectiveError, DeviceError, std::system_error (a checkpoint can't be written).
int run_training(const TrainOptions& options, const Corpus& corpus, collectives::Communicator& communicator,
                 Device& device, ProgressReporter& progress, std::FILE* out, std::FILE* errors,
                 const std::atomic<bool>& stop);

/// One all-reduce, on the device, of `count` whole numbers in float32 whose sums float32 holds exactly; says on rank
/// 0's `out` whether every element is right on every rank. Returns 0 or 1, the same on all ranks.
int run_reduce_check(std::size_t count, collectives::Communicator& communicator, Device& device,
                     ProgressReporter& progress, std::FILE* out, std::chrono::milliseconds deadline);

/// 1234567 -> 1,234,567
std::string grouped(std::int64_t value);

}  // namespace ultramarine::trainer
