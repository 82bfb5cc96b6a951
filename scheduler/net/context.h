// What is behind a Loop: one io_context, shared by everything that lives on it, so that a Reply or a Connection that outlives its
// loop is harmless: what it posts is dropped. Only this room includes this file.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "scheduler/net/loop.h"

namespace ultramarine::net {

namespace asio = boost::asio;
using boost::system::error_code;
using Executor = asio::io_context::executor_type;

/// Something that holds its users' handlers. When the loop ends it lets go of them, because a handler may own what holds it.
class HandlerHolder {
 public:
  virtual void drop_handlers() = 0;

 protected:
  ~HandlerHolder() = default;
};

class Context final : public asio::io_context {
 public:
  Context() : asio::io_context(1) {}
  ~Context() { end(); }

  /// From any thread. Dropped once the context has ended.
  void post(std::function<void()> work);
  /// Nothing runs after this; whatever waits is destroyed. Handles may still exist and find everything closed.
  void end();

  /// From any thread.
  void add(const std::shared_ptr<HandlerHolder>& holder);
  void remove(HandlerHolder* holder);

 private:
  std::mutex mutex_;
  bool ended_ = false;
  std::map<HandlerHolder*, std::weak_ptr<HandlerHolder>> holders_;
};

struct Loop::Implementation {
  std::shared_ptr<Context> context = std::make_shared<Context>();
  asio::executor_work_guard<Executor> work = asio::make_work_guard(context->get_executor());
  std::atomic<bool> stop_requested = false;
  std::unique_ptr<asio::signal_set> signals;
  std::function<void(int)> signal_handler;

  void wait_for_signal();
};

}  // namespace ultramarine::net
