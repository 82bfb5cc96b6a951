// The file holds "JOB ATTEMPT\n". It is written in place under a lock: a rename would leave the lock on a file that nobody sees.
#include "worker/trainer/checkpoint_fence.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>

#include "worker/trainer/errno_error.h"

namespace ultramarine::trainer {
namespace {

/// Whoever holds the lock renames one file. A frozen machine may hold it for ever.
constexpr std::chrono::seconds lock_patience{10};
constexpr std::chrono::milliseconds pause{10};

class LockedFile {
 public:
  explicit LockedFile(const std::string& path) : path_(path), descriptor_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
    if (descriptor_ < 0) fail(path_);
    const auto until = std::chrono::steady_clock::now() + lock_patience;
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    while (::fcntl(descriptor_, F_OFD_SETLK, &lock) != 0 && (errno == EAGAIN || errno == EACCES || errno == EINTR) &&
           std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(pause);
  }
  ~LockedFile() { ::close(descriptor_); }
  LockedFile(const LockedFile&) = delete;
  LockedFile& operator=(const LockedFile&) = delete;

  /// What isn't a claim counts as none.
  CheckpointFence::Claim read() const {
    char text[64] = {};
    if (::pread(descriptor_, text, sizeof text - 1, 0) < 0) fail(path_);
    long long job = 0, attempt = 0;
    if (std::sscanf(text, "%lld %lld", &job, &attempt) != 2) return {};
    return {job, attempt};
  }
  void write(const CheckpointFence::Claim& claim) {
    const std::string text = std::to_string(claim.job) + " " + std::to_string(claim.attempt) + "\n";
    if (::pwrite(descriptor_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()) ||
        ::ftruncate(descriptor_, static_cast<off_t>(text.size())) != 0 || ::fsync(descriptor_) != 0)
      fail(path_);
  }

 private:
  std::string path_;
  int descriptor_;
};

std::int64_t number_in(const char* variable) {
  const char* text = std::getenv(variable);
  const std::string_view digits = text == nullptr ? "" : text;
  std::int64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

}  // namespace

std::unique_ptr<CheckpointFence> CheckpointFence::of_this_attempt(const std::string& directory) {
  const std::int64_t job = number_in("ULTRA_JOB_ID"), attempt = number_in("ULTRA_ATTEMPT");
  return job > 0 && attempt > 0 ? std::make_unique<CheckpointFence>(directory, job, attempt) : nullptr;
}

CheckpointFence::CheckpointFence(const std::string& directory, std::int64_t job, std::int64_t attempt)
    : path_(directory + "/attempt"), job_(job), attempt_(attempt) {
  LockedFile file(path_);
  refuse_later(file.read());
  file.write({job, attempt});
}

void CheckpointFence::guard(const std::function<void()>& commit) const {
  const LockedFile file(path_);
  refuse_later(file.read());
  commit();
}

void CheckpointFence::refuse_later(const Claim& claim) const {
  if (claim.job != job_ || claim.attempt <= attempt_) return;
  throw std::runtime_error(path_ + ": attempt " + std::to_string(claim.attempt) + " of job " + std::to_string(job_) +
                           " saves the checkpoints by now; this is attempt " + std::to_string(attempt_) + ", which was given up");
}

}  // namespace ultramarine::trainer
