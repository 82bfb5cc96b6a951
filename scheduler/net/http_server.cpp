// The listening side: accepts clients until it is closed. When the process has no descriptors left it waits a moment instead of spinning.
#include "scheduler/net/http_server.h"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "scheduler/net/http_session.h"

namespace ultramarine::net {

void PendingReply::send(Response response) {
  if (answered_.exchange(true)) return;
  context_->post([session = session_, response = std::move(response)]() mutable {
    if (const auto answerable = session.lock()) answerable->answer(std::move(response));
  });
}

namespace {

// The client is gone already.
class DeadStream final : public net::Stream {
 public:
  explicit DeadStream(std::shared_ptr<Context> context) : context_(std::move(context)) {}
  bool write(std::string) override { return false; }
  void end() override {}
  void on_closed(std::function<void()> handler) override {
    if (handler) context_->post(std::move(handler));
  }
  void on_drained(std::function<void()>) override {}

 private:
  std::shared_ptr<Context> context_;
};

}  // namespace

std::shared_ptr<net::Stream> PendingReply::start_stream(int status, std::string content_type) {
  std::shared_ptr<net::Stream> stream;
  if (!answered_.exchange(true)) {
    if (const auto session = session_.lock()) stream = session->answer_with_stream(status, content_type);
  }
  return stream ? stream : std::make_shared<DeadStream>(context_);
}

namespace {

constexpr auto trouble_delay = std::chrono::milliseconds(100);

class Listener final : public Server, public HandlerHolder, public std::enable_shared_from_this<Listener> {
 public:
  /// `given`: listens there already, or none.
  Listener(std::shared_ptr<ServerCore> core, const Endpoint& endpoint, FileDescriptor given)
      : core_(std::move(core)), endpoint_(endpoint),
        listening_(given ? std::move(given) : listen_on(endpoint, core_->options.unix_mode, endpoint_)), file_(endpoint_.path),
        descriptor_(*core_->context, listening_.get()), retry_timer_(*core_->context), family_(family_of(listening_.release())) {}
  ~Listener() override { stop(false); }

  void start() {
    core_->context->add(shared_from_this());
    wait();
  }
  Endpoint endpoint() const override { return endpoint_; }
  void close() override { stop(true); }

  void stop(bool tell) {
    if (descriptor_.is_open()) {
      file_.remove();
      retry_timer_.cancel();
      descriptor_.close();
    }
    core_->sessions->cut_all(tell);
  }

  void drop_handlers() override {
    const auto handlers = std::exchange(core_->handlers, std::make_shared<const ServerHandlers>());
  }

 private:
  void wait() {
    descriptor_.async_wait(asio::posix::stream_descriptor::wait_read, [self = shared_from_this()](error_code error) {
      if (!error && self->descriptor_.is_open()) self->accept();
    });
  }

  void accept() {
    for (;;) {
      FileDescriptor client;
      Peer peer;
      switch (accept_from(descriptor_.native_handle(), endpoint_.is_unix(), client, peer)) {
        case Accepted::none_waiting:
          return wait();
        case Accepted::trouble:
          retry_timer_.expires_after(trouble_delay);
          retry_timer_.async_wait([self = shared_from_this()](error_code error) {
            if (!error && self->descriptor_.is_open()) self->accept();
          });
          return;
        case Accepted::connection:
          endpoint_.is_unix() ? serve(core_, stream_from<UnixStream>(*core_->context, std::move(client), family_), std::move(peer))
                              : serve(core_, stream_from<TcpStream>(*core_->context, std::move(client), family_), std::move(peer));
      }
    }
  }

  const std::shared_ptr<ServerCore> core_;
  Endpoint endpoint_;
  FileDescriptor listening_;
  SocketFile file_;
  asio::posix::stream_descriptor descriptor_;
  asio::steady_timer retry_timer_;
  const int family_;
};

// The user's handle; the listener itself lives until its waiting operation has ended.
class ListenerHandle final : public Server {
 public:
  explicit ListenerHandle(std::shared_ptr<Listener> listener) : listener_(std::move(listener)) {}
  ~ListenerHandle() override {
    listener_->stop(false);
    listener_->drop_handlers();
  }
  Endpoint endpoint() const override { return listener_->endpoint(); }
  void close() override { listener_->close(); }

 private:
  std::shared_ptr<Listener> listener_;
};

std::unique_ptr<Server> serve_on(Loop& loop, const Endpoint& endpoint, FileDescriptor given, Handler handler, ServerOptions options) {
  auto core = std::make_shared<ServerCore>();
  core->context = loop.implementation().context;
  core->handlers = std::make_shared<const ServerHandlers>(ServerHandlers{std::move(handler), std::exchange(options.websockets, {})});
  core->options = std::move(options);
  auto listener = std::make_shared<Listener>(std::move(core), endpoint, std::move(given));
  listener->start();
  return std::make_unique<ListenerHandle>(std::move(listener));
}

}  // namespace

std::unique_ptr<Server> listen(Loop& loop, const Endpoint& endpoint, Handler handler, ServerOptions options) {
  return serve_on(loop, endpoint, FileDescriptor(), std::move(handler), std::move(options));
}

std::unique_ptr<Server> listen_on_given(Loop& loop, FileDescriptor listening, const std::string& path, Handler handler, ServerOptions options) {
  return serve_on(loop, {.path = path}, std::move(listening), std::move(handler), std::move(options));
}

}  // namespace ultramarine::net
