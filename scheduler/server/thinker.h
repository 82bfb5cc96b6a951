// A thread for questions that take their time (what if, why, what would it cost): one after the other, so that neither the daemon's thread nor the
// loop waits for them. Knows nothing of what is asked.
#pragma once

#include <functional>
#include <memory>
#include <thread>

#include "scheduler/net/loop.h"
#include "scheduler/server/inbox.h"

namespace ultramarine::server {

class Thinker {
 public:
  /// What work held is given up on the loop's thread.
  explicit Thinker(net::Loop& loop);
  /// Waits for the work at hand; what has not begun is dropped.
  ~Thinker();
  Thinker(const Thinker&) = delete;
  Thinker& operator=(const Thinker&) = delete;

  /// Any thread.
  void think(std::function<void()> work) { inbox_.post(std::move(work)); }

 private:
  void run();

  net::Loop& loop_;
  Inbox inbox_;
  std::thread thread_;
};

}  // namespace ultramarine::server
