// The event loop: one thread runs it, everybody else posts to it. The only door to Asio; the interface is std only, so that no
// other room pays for its headers. All handlers of this room run on the loop's thread, one at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace ultramarine::net {

class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// Runs handlers until `stop`. Call from one thread. A `stop` that came before makes it return at once.
  void run();
  /// Runs what is ready or becomes ready within `length`, then returns.
  void run_for(std::chrono::milliseconds length);
  /// From any thread or handler.
  void stop();
  /// Runs `work` on the loop's thread, later. From any thread.
  void post(std::function<void()> work);

  /// Runs `work` once after `delay` unless cancelled first. The timer may be destroyed only on the loop's thread; destroying cancels.
  class Timer {
   public:
    virtual ~Timer() = default;
    virtual void cancel() = 0;
  };
  [[nodiscard]] std::unique_ptr<Timer> after(std::chrono::milliseconds delay, std::function<void()> work);

  /// Calls `handler(signal)` at each of these signals, until the loop ends. Once per loop.
  void on_signals(std::vector<int> signals, std::function<void(int)> handler);

  /// Calls `handler` whenever `fd` (a pipe, pidfd, datagram socket, terminal; not owned, made non-blocking) can be read, until the
  /// returned watch is destroyed (on the loop's thread). It is called again as long as something is left to read; at the end of a
  /// stream that is for ever, so destroy the watch there. Throws NetError for what can't be watched (a regular file).
  class Watch {
   public:
    virtual ~Watch() = default;
  };
  [[nodiscard]] std::unique_ptr<Watch> on_readable(int fd, std::function<void()> handler);

  struct Implementation;
  Implementation& implementation() { return *implementation_; }

 private:
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace ultramarine::net
