// Keeps an earlier attempt of the same job out of a checkpoint folder: one that was given up (its node could not be reached) may still run, and
// what it saved late would pass for the newest. The file `attempt` in the folder says who may write; it only ever counts up.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace ultramarine::trainer {

class CheckpointFence {
 public:
  /// The fence of this process's attempt, by ULTRA_JOB_ID and ULTRA_ATTEMPT; nullptr outside of a job. Claims the folder, which must exist:
  /// throws std::runtime_error when a later attempt has done so, or the file can't be written.
  static std::unique_ptr<CheckpointFence> of_this_attempt(const std::string& directory);
  CheckpointFence(const std::string& directory, std::int64_t job, std::int64_t attempt);

  /// Runs `commit`, which makes a checkpoint appear, unless a later attempt has claimed the folder: throws std::runtime_error then. The folder is
  /// locked meanwhile (fcntl, also over NFS), so `commit` must be short.
  void guard(const std::function<void()>& commit) const;

  std::int64_t attempt() const { return attempt_; }

  struct Claim {
    std::int64_t job = 0, attempt = 0;
  };

 private:
  void refuse_later(const Claim& claim) const;

  std::string path_;
  std::int64_t job_, attempt_;
};

}  // namespace ultramarine::trainer
