// Connecting a WebSocket: resolve, connect, handshake, all within one time limit.
#include <boost/asio/steady_timer.hpp>

#include "scheduler/net/http_message.h"
#include "scheduler/net/websocket_session.h"

namespace ultramarine::net {

namespace {

using OpenHandler = std::function<void(std::shared_ptr<Connection>)>;
using ErrorHandler = std::function<void(const NetError&)>;

constexpr std::size_t client_message_bytes_max = 64 << 20;

template <class Stream>
class Handshake final : public std::enable_shared_from_this<Handshake<Stream>> {
 public:
  Handshake(std::shared_ptr<Context> context, const Endpoint& endpoint, const std::string& path, OpenHandler on_open, ErrorHandler on_error,
            const LineTimes& times)
      : context_(std::move(context)), endpoint_(endpoint), path_(path), on_open_(std::move(on_open)), on_error_(std::move(on_error)),
        times_(times), socket_(context_->get_executor()), deadline_(*context_) {}

  void start() {
    deadline_.expires_after(times_.open);
    deadline_.async_wait([self = self()](error_code error) {
      if (!error) self->fail(beast::error::timeout);
    });
    connect_stream(context_, beast::get_lowest_layer(socket_), endpoint_, self(), finished_, [self = self()](error_code error) {
      if (*self->finished_) return;
      if (error) return self->fail(error);
      self->shake_hands();
    });
  }

 private:
  std::shared_ptr<Handshake> self() { return this->shared_from_this(); }

  void shake_hands() {
    set_websocket_options(socket_, client_message_bytes_max, times_);
    socket_.async_handshake(answer_, endpoint_.is_unix() ? "localhost" : endpoint_.text(), path_, [self = self()](error_code error) {
      if (*self->finished_) return;
      if (error) return self->fail(error);
      self->open();
    });
  }

  void open() {
    *finished_ = true;
    deadline_.cancel();
    Peer peer;
    if (endpoint_.is_unix()) {
      peer = unix_peer_of(beast::get_lowest_layer(socket_).socket().native_handle());
    } else {
      peer.address = endpoint_.text();
    }
    auto session = std::make_shared<WebSocketSession<Stream>>(context_, std::move(socket_), std::move(peer), std::weak_ptr<SessionSet>());
    session->start();
    const auto on_open = std::exchange(on_open_, nullptr);
    on_error_ = nullptr;
    on_open(std::move(session));
  }

  void fail(const error_code& error) {
    if (std::exchange(*finished_, true)) return;
    deadline_.cancel();
    beast::get_lowest_layer(socket_).close();
    const auto on_error = std::exchange(on_error_, nullptr);
    on_open_ = nullptr;
    on_error(error == websocket::error::upgrade_declined ? declined() : net_error("connect to", endpoint_, error));
  }

  NetError declined() const {
    return NetError("can't connect to " + endpoint_.text() + ": it refused a WebSocket at " + path_ + " with status " + std::to_string(answer_.result_int()));
  }

  const std::shared_ptr<Context> context_;
  const Endpoint endpoint_;
  const std::string path_;
  OpenHandler on_open_;
  ErrorHandler on_error_;
  const LineTimes times_;
  WebSocket<Stream> socket_;
  asio::steady_timer deadline_;
  std::shared_ptr<bool> finished_ = std::make_shared<bool>(false);
  websocket::response_type answer_;
};

}  // namespace

void connect(Loop& loop, const Endpoint& endpoint, const std::string& path, OpenHandler on_open, ErrorHandler on_error, LineTimes times) {
  const auto begin = [&]<class Stream>(std::type_identity<Stream>) {
    std::make_shared<Handshake<Stream>>(loop.implementation().context, endpoint, path, std::move(on_open), std::move(on_error), times)->start();
  };
  endpoint.is_unix() ? begin(std::type_identity<UnixStream>()) : begin(std::type_identity<TcpStream>());
}

}  // namespace ultramarine::net
