// Work for the daemon's thread, from any thread, in order of arrival. The thread takes all that waits at once: that is what makes
// a commit serve many.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace ultramarine::server {

class Inbox {
 public:
  using Work = std::function<void()>;

  /// Dropped after `close`.
  void post(Work work) {
    {
      const std::lock_guard lock(mutex_);
      if (closed_) return;
      waiting_.push_back(std::move(work));
    }
    arrived_.notify_one();
  }

  /// Sleeps until something arrives, `latest` has come or the inbox is closed; takes everything.
  std::vector<Work> take(std::chrono::steady_clock::time_point latest) {
    std::unique_lock lock(mutex_);
    arrived_.wait_until(lock, latest, [this] { return closed_ || !waiting_.empty(); });
    return std::exchange(waiting_, {});
  }

  /// Nothing is accepted any more; what waits is dropped.
  void close() {
    std::vector<Work> dropped;  // destroyed outside the lock: it may own handles that post
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
      dropped.swap(waiting_);
    }
    arrived_.notify_all();
  }

  bool closed() const {
    const std::lock_guard lock(mutex_);
    return closed_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<Work> waiting_;
  bool closed_ = false;
};

}  // namespace ultramarine::server
