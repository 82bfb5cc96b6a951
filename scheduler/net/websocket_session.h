// A WebSocket after its handshake, the same for both ends. One read, one write and one close may be under way; what others send goes
// through one outbox behind a mutex, so that the order of `send` is the order on the wire. Knows nothing of how it was connected.
#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "scheduler/net/session_set.h"
#include "scheduler/net/socket.h"
#include "scheduler/net/websocket.h"

namespace ultramarine::net {

namespace websocket = beast::websocket;
template <class Stream>
using WebSocket = websocket::stream<Stream, false>;  // no compression

constexpr std::size_t queued_bytes_max = 64 << 20;   // of a connection's outbox
constexpr std::size_t early_bytes_max = 16 << 20;    // kept before there is a handler; then reading pauses

/// What both ends set before the handshake.
template <class Stream>
void set_websocket_options(WebSocket<Stream>& socket, std::size_t message_bytes_max, const LineTimes& times);

template <class Stream>
class WebSocketSession final : public Connection,
                               public ServedSession,
                               public HandlerHolder,
                               public std::enable_shared_from_this<WebSocketSession<Stream>> {
 public:
  WebSocketSession(std::shared_ptr<Context> context, WebSocket<Stream>&& socket, Peer peer, std::weak_ptr<SessionSet> served);
  ~WebSocketSession() override;
  /// Begins to read. Once, after the first handlers were set.
  void start();

  void send(std::string message) override;
  void close() override;
  void on_message(std::function<void(std::string_view)> handler) override;
  void on_closed(std::function<void(const std::string& why)> handler) override;
  const Peer& peer() const override { return peer_; }

  void cut(bool tell) override;
  void drop_handlers() override;

 private:
  using MessageHandler = std::function<void(std::string_view)>;

  void read();
  void read_done(error_code error);
  void post_flush();
  void flush();
  void write_done(error_code error);
  void close_gracefully();
  void deliver();
  void finish(const error_code& error);
  void finish_because(std::string why);
  void operation_done();
  bool is_close_asked();
  std::string reason_of(const error_code& error);

  const std::shared_ptr<Context> context_;
  const Peer peer_;
  const std::weak_ptr<SessionSet> served_;

  // On the loop's thread only.
  std::optional<WebSocket<Stream>> socket_;
  beast::flat_buffer buffer_;
  int operations_ = 0;
  bool reading_ = false;
  bool writing_ = false;
  bool close_begun_ = false;
  bool finished_ = false;
  bool told_ = false;
  std::string why_;
  std::string outgoing_;
  std::deque<std::string> inbox_;
  std::size_t inbox_bytes_ = 0;
  bool delivering_ = false;
  std::shared_ptr<MessageHandler> message_handler_;
  std::function<void(const std::string&)> closed_handler_;

  // From any thread.
  std::mutex mutex_;
  std::deque<std::string> outbox_;
  std::size_t outbox_bytes_ = 0;
  bool flush_posted_ = false;
  bool accepts_ = true;        // what is sent later is dropped
  bool close_asked_ = false;   // here, by close(): nothing more is delivered either
  bool overflowed_ = false;
};

// Compiled in sessions_tcp.cpp and sessions_unix.cpp.
extern template class WebSocketSession<TcpStream>;
extern template class WebSocketSession<UnixStream>;
extern template void set_websocket_options<TcpStream>(WebSocket<TcpStream>&, std::size_t, const LineTimes&);
extern template void set_websocket_options<UnixStream>(WebSocket<UnixStream>&, std::size_t, const LineTimes&);

}  // namespace ultramarine::net
