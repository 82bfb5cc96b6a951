// Locks and waits that ThreadSanitizer can't see, and the orderings that it is told by hand. The fakes are compiled
// without -fsanitize=thread and use futexes, because an ordinary mutex inside them would order what CUDA doesn't order,
// and so hide the races of the program under test. What CUDA does promise (enqueue before run, record before wait, end
// of a stream before the return of synchronize) is stated with happens_before / happens_after.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstdint>
#include <ctime>

extern "C" {
void __tsan_acquire(void*) __attribute__((weak));
void __tsan_release(void*) __attribute__((weak));
}

namespace ultramarine::fake {

/// All that this thread did until now happens before whatever follows a happens_after of the same token.
inline void happens_before(void* token) {
  if (__tsan_release) __tsan_release(token);
}
inline void happens_after(void* token) {
  if (__tsan_acquire) __tsan_acquire(token);
}

using Bell = std::atomic<std::uint32_t>;

/// Returns when `bell` isn't `seen` any more, or after 50 ms: callers look again at what they wait for.
inline void wait_for_bell(Bell& bell, std::uint32_t seen) {
  const timespec patience{0, 50'000'000};
  syscall(SYS_futex, &bell, FUTEX_WAIT_PRIVATE, seen, &patience, nullptr, 0);
}
inline void ring(Bell& bell) {
  bell.fetch_add(1);
  syscall(SYS_futex, &bell, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

class Lock {
 public:
  void lock() {
    std::uint32_t free = 0;
    while (!taken_.compare_exchange_weak(free, 1)) {
      if (free == 1) wait_for_bell(taken_, 1);
      free = 0;
    }
  }
  void unlock() {
    taken_.store(0);
    syscall(SYS_futex, &taken_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }

 private:
  Bell taken_ = 0;
};

class Guard {
 public:
  explicit Guard(Lock& lock) : lock_(lock) { lock_.lock(); }
  ~Guard() { lock_.unlock(); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  Lock& lock_;
};

}  // namespace ultramarine::fake
