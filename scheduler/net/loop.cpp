// Loop over Asio's io_context. Timers and watches keep their state in the waiting operation, not in the handle, so that a handler
// may destroy its own handle.
#include "scheduler/net/loop.h"

#include <poll.h>

#include <sys/epoll.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <algorithm>
#include <cerrno>
#include <utility>

#include "scheduler/net/context.h"
#include "scheduler/net/endpoint.h"
#include "scheduler/net/file_descriptor.h"

namespace ultramarine::net {

void Context::post(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  if (!ended_) asio::post(get_executor(), std::move(work));
}

void Context::end() {
  std::map<HandlerHolder*, std::weak_ptr<HandlerHolder>> holders;
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(ended_, true)) return;
    holders.swap(holders_);
  }
  for (const auto& [address, weak] : holders) {
    if (const auto holder = weak.lock()) holder->drop_handlers();
  }
  shutdown();
}

void Context::add(const std::shared_ptr<HandlerHolder>& holder) {
  std::lock_guard lock(mutex_);
  if (!ended_) holders_.emplace(holder.get(), holder);
}

void Context::remove(HandlerHolder* holder) {
  std::lock_guard lock(mutex_);
  holders_.erase(holder);
}

Loop::Loop() : implementation_(std::make_unique<Implementation>()) {}

Loop::~Loop() {
  implementation_->signals.reset();
  implementation_->work.reset();
  implementation_->context->end();
}

void Loop::run() {
  auto& [context, work, stop_requested, signals, signal_handler] = *implementation_;
  // The flag is looked at after restart(): a stop that comes between the two stops run() at once, and the flag is then seen.
  for (;;) {
    context->restart();
    if (stop_requested.exchange(false)) return;
    context->run();
  }
}

void Loop::run_for(std::chrono::milliseconds length) {
  auto& [context, work, stop_requested, signals, signal_handler] = *implementation_;
  context->restart();
  if (stop_requested.exchange(false)) return;
  context->run_for(std::max(length, std::chrono::milliseconds(1)));  // with 0, Asio wouldn't even run what is ready
  if (context->stopped()) stop_requested = false;
}

void Loop::stop() {
  implementation_->stop_requested = true;
  implementation_->context->stop();
}

void Loop::post(std::function<void()> work) { implementation_->context->post(std::move(work)); }

namespace {

class TimerHandle final : public Loop::Timer {
 public:
  TimerHandle(std::shared_ptr<Context> context, std::chrono::milliseconds delay, std::function<void()> work)
      : context_(std::move(context)), timer_(*context_, delay) {
    auto shared_work = std::make_shared<std::function<void()>>(std::move(work));
    work_ = shared_work;
    timer_.async_wait([shared_work = std::move(shared_work)](error_code error) {
      // Empty when cancelled after the timer had gone off but before this ran.
      if (!error && *shared_work) std::exchange(*shared_work, nullptr)();
    });
  }
  ~TimerHandle() override { cancel(); }

  void cancel() override {
    if (auto work = work_.lock()) *work = nullptr;
    timer_.cancel();
  }

 private:
  std::shared_ptr<Context> context_;
  asio::steady_timer timer_;
  std::weak_ptr<std::function<void()>> work_;
};

// Asio accepts what epoll refuses (regular files) and fails only when it is to wait.
error_code why_not_watchable(int fd) {
  const FileDescriptor probe(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{};
  const bool is_watchable = probe && ::epoll_ctl(probe.get(), EPOLL_CTL_ADD, fd, &event) == 0;
  return is_watchable ? error_code() : error_code(errno, boost::system::system_category());
}

bool is_readable(int fd) {
  pollfd asked{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&asked, 1, 0) > 0;
}

class WatchHandle final : public Loop::Watch {
 public:
  WatchHandle(std::shared_ptr<Context> context, int fd, std::function<void()> handler)
      : state_(std::make_shared<State>(std::move(context), std::move(handler))) {
    error_code error = why_not_watchable(fd);
    if (!error) state_->descriptor.assign(fd, error);
    if (!error) state_->descriptor.native_non_blocking(true, error);
    if (error) {
      if (state_->descriptor.is_open()) state_->descriptor.release();
      throw NetError("can't watch file descriptor " + std::to_string(fd) + ": " + error.message(), error.value());
    }
    wait(state_);
  }
  ~WatchHandle() override {
    state_->handler = nullptr;
    if (state_->descriptor.is_open()) state_->descriptor.release();  // not close: the descriptor belongs to the caller
  }

 private:
  struct State {
    State(std::shared_ptr<Context> its_context, std::function<void()> its_handler)
        : context(std::move(its_context)), descriptor(*context),
          handler(std::make_shared<std::function<void()>>(std::move(its_handler))) {}
    std::shared_ptr<Context> context;
    asio::posix::stream_descriptor descriptor;
    std::shared_ptr<std::function<void()>> handler;  // null once the watch is gone
  };

  static void wait(const std::shared_ptr<State>& state) {
    state->descriptor.async_wait(asio::posix::stream_descriptor::wait_read, [state](error_code error) {
      if (error) return;
      const auto handler = state->handler;  // a copy: the handler may destroy the watch
      if (!handler) return;
      // Asio may hand the news of a descriptor that was just released to the one registered next: look before believing it.
      if (is_readable(state->descriptor.native_handle())) (*handler)();
      if (state->handler) wait(state);
    });
  }

  std::shared_ptr<State> state_;
};

}  // namespace

std::unique_ptr<Loop::Timer> Loop::after(std::chrono::milliseconds delay, std::function<void()> work) {
  return std::make_unique<TimerHandle>(implementation_->context, delay, std::move(work));
}

std::unique_ptr<Loop::Watch> Loop::on_readable(int fd, std::function<void()> handler) {
  return std::make_unique<WatchHandle>(implementation_->context, fd, std::move(handler));
}

void Loop::on_signals(std::vector<int> signals, std::function<void(int)> handler) {
  implementation_->signal_handler = std::move(handler);
  implementation_->signals = std::make_unique<asio::signal_set>(*implementation_->context);
  for (const int number : signals) implementation_->signals->add(number);
  implementation_->wait_for_signal();
}

void Loop::Implementation::wait_for_signal() {
  signals->async_wait([this](error_code error, int number) {
    if (error) return;
    signal_handler(number);
    wait_for_signal();
  });
}

}  // namespace ultramarine::net
