#include "scheduler/cli/interrupt.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

#include "scheduler/cli/command_error.h"

namespace ultramarine::cli {
namespace {

std::atomic<int> signal_fd{-1};
std::atomic<bool> signal_raised{false};

void on_signal(int) {
  const int saved = errno;
  signal_raised = true;
  const std::uint64_t one = 1;
  if (write(signal_fd, &one, sizeof one) < 0) {
    // The flag is set; a full counter is as readable as one more.
  }
  errno = saved;
}

}  // namespace

Interrupt::Interrupt() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  signal_raised = false;
  signal_fd = fd_;
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, &old_interrupt_);
  sigaction(SIGTERM, &action, &old_terminate_);
  sigaction(SIGHUP, &action, &old_hang_up_);
  // What was ignored stays ignored (nohup).
  if (old_interrupt_.sa_handler == SIG_IGN) sigaction(SIGINT, &old_interrupt_, nullptr);
  if (old_hang_up_.sa_handler == SIG_IGN) sigaction(SIGHUP, &old_hang_up_, nullptr);
}

Interrupt::~Interrupt() {
  sigaction(SIGINT, &old_interrupt_, nullptr);
  sigaction(SIGTERM, &old_terminate_, nullptr);
  sigaction(SIGHUP, &old_hang_up_, nullptr);
  signal_fd = -1;
  close(fd_);
}

bool Interrupt::raised() const { return signal_raised; }

void Interrupt::take() {
  signal_raised = false;
  std::uint64_t count = 0;
  if (read(fd_, &count, sizeof count) < 0) {
    // Nothing was there to be read: it was not raised.
  }
}

void Interrupt::wait(int milliseconds) const {
  pollfd readable{fd_, POLLIN, 0};
  poll(&readable, 1, milliseconds);
}

void Interrupt::check() const {
  if (raised()) throw Interrupted{};
}

}  // namespace ultramarine::cli
