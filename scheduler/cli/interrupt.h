// Ctrl-C as something to wait for instead of sudden death: while one of these lives, SIGINT and SIGTERM set it off.
#pragma once

#include <csignal>

namespace ultramarine::cli {

/// At most one at a time in a process.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  bool raised() const;
  /// Takes notice of it: not raised until the next signal.
  void take();
  /// Readable once raised.
  int fd() const { return fd_; }
  /// Returns after `milliseconds` or as soon as it is raised.
  void wait(int milliseconds) const;
  /// Throws Interrupted if raised.
  void check() const;

 private:
  int fd_ = -1;
  struct sigaction old_interrupt_ {
  }, old_terminate_{}, old_hang_up_{};
};

}  // namespace ultramarine::cli
