// A checkpoint: one file with a manifest (JSON) and the arenas, complete and checksummed or not there at all. It
// doesn't depend on the number of ranks. Knows files; nothing of training.
//
//   "ULTRACKP" | manifest length (8 bytes) | manifest | parameters | first moments | second moments | XXH64 of all
//   before it
#pragma once

#include <boost/describe.hpp>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "worker/trainer/arena.h"
#include "worker/trainer/checkpoint_fence.h"
#include "worker/trainer/model.h"

namespace ultramarine::trainer {

struct CheckpointManifest {
  std::int64_t format = 1;
  std::int64_t step = 0;  // steps done
  std::int64_t layers = 0, heads = 0, width = 0, context = 0, vocabulary = 0;
  std::int64_t parameter_count = 0;
  std::int64_t global_batch = 0;
  std::int64_t seed = 0;
  std::string data_hash;  // 16 hexadecimal digits
  std::int64_t data_bytes = 0;
};
BOOST_DESCRIBE_STRUCT(CheckpointManifest, (),
                      (format, step, layers, heads, width, context, vocabulary, parameter_count, global_batch, seed,
                       data_hash, data_bytes))

ModelConfig model_of(const CheckpointManifest& manifest);

struct Checkpoint {
  CheckpointManifest manifest;
  Arena<float> parameters, first_moments, second_moments;  // [parameter_count] each
};

/// Writes DIRECTORY/step_00000123.checkpoint: temporary file, fsync, rename, fsync of the directory (made if missing).
/// Then removes all but the newest three checkpoints there. Returns the path. Throws std::system_error; std::runtime_error
/// when `fence` doesn't let this attempt write any more.
std::string save_checkpoint(const std::string& directory, const CheckpointManifest& manifest,
                            std::span<const float> parameters, std::span<const float> first_moments,
                            std::span<const float> second_moments, const CheckpointFence* fence = nullptr);

/// Throws std::runtime_error that says what is wrong with the file.
Checkpoint load_checkpoint(const std::string& path);

/// The valid checkpoint of the highest step in `directory`; a damaged one is passed over after `on_skipped(path,
/// problem)`. nullopt when there is none (also when there is no directory).
std::optional<Checkpoint> load_newest_checkpoint(
    const std::string& directory,
    const std::function<void(const std::string& path, const std::string& problem)>& on_skipped);

}  // namespace ultramarine::trainer
