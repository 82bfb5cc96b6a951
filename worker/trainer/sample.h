// Text from a trained model, one byte at a time.
#pragma once

#include <string>

#include "worker/trainer/checkpoint.h"

namespace ultramarine::trainer {

/// `length` bytes that follow `prompt` (empty = a line's end). `temperature` 0 takes the most likely byte; otherwise
/// probabilities to the power 1/temperature. The same for the same seed.
std::string sample_text(const Checkpoint& checkpoint, const std::string& prompt, std::int64_t length,
                        std::uint64_t seed, double temperature);

}  // namespace ultramarine::trainer
