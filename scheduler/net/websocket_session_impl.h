// The bodies of WebSocketSession, for the two files that instantiate them (sessions_tcp.cpp, sessions_unix.cpp).
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <type_traits>
#include <utility>

#include "scheduler/net/utf8.h"
#include "scheduler/net/websocket_session.h"

namespace ultramarine::net {

template <class Stream>
void set_websocket_options(WebSocket<Stream>& socket, std::size_t message_bytes_max, const LineTimes& times) {
  websocket::stream_base::timeout timeout{};
  timeout.handshake_timeout = times.open;
  timeout.idle_timeout = times.silence;
  timeout.keep_alive_pings = true;
  socket.set_option(timeout);
  if constexpr (std::is_same_v<Stream, TcpStream>) set_unacknowledged_max(beast::get_lowest_layer(socket).socket().native_handle(), times.unacknowledged);
  socket.read_message_max(message_bytes_max);
  socket.auto_fragment(false);
  socket.write_buffer_bytes(64 << 10);
}

template <class Stream>
WebSocketSession<Stream>::WebSocketSession(std::shared_ptr<Context> context, WebSocket<Stream>&& socket, Peer peer, std::weak_ptr<SessionSet> served)
    : context_(std::move(context)), peer_(std::move(peer)), served_(std::move(served)), socket_(std::move(socket)) {}

template <class Stream>
WebSocketSession<Stream>::~WebSocketSession() {
  context_->remove(this);
}

template <class Stream>
void WebSocketSession<Stream>::start() {
  context_->add(this->shared_from_this());
  read();
}

template <class Stream>
void WebSocketSession<Stream>::read() {
  if (reading_ || finished_) return;
  if (!message_handler_ && inbox_bytes_ > early_bytes_max) return;
  reading_ = true;
  ++operations_;
  socket_->async_read(buffer_, [self = this->shared_from_this()](error_code error, std::size_t) { self->read_done(error); });
}

template <class Stream>
void WebSocketSession<Stream>::read_done(error_code error) {
  reading_ = false;
  operation_done();
  if (error) return finish(error);
  if (finished_) return;
  inbox_.push_back(beast::buffers_to_string(buffer_.data()));
  inbox_bytes_ += inbox_.back().size();
  buffer_.consume(buffer_.size());
  read();  // first, because a handler may throw
  deliver();
}

template <class Stream>
void WebSocketSession<Stream>::send(std::string message) {
  std::unique_lock lock(mutex_);
  if (!accepts_) return;
  outbox_bytes_ += message.size();
  outbox_.push_back(std::move(message));
  if (outbox_bytes_ > queued_bytes_max) {
    accepts_ = false;
    overflowed_ = true;
  }
  if (std::exchange(flush_posted_, true)) return;
  lock.unlock();
  post_flush();
}

template <class Stream>
void WebSocketSession<Stream>::close() {
  std::unique_lock lock(mutex_);
  if (std::exchange(close_asked_, true)) return;
  accepts_ = false;
  if (std::exchange(flush_posted_, true)) return;
  lock.unlock();
  post_flush();
}

template <class Stream>
bool WebSocketSession<Stream>::is_close_asked() {
  std::lock_guard lock(mutex_);
  return close_asked_;
}

template <class Stream>
void WebSocketSession<Stream>::post_flush() {
  context_->post([self = this->shared_from_this()] { self->flush(); });
}

template <class Stream>
void WebSocketSession<Stream>::flush() {
  if (finished_) return;
  std::unique_lock lock(mutex_);
  flush_posted_ = false;
  if (overflowed_) {
    lock.unlock();
    return finish_because("closed here: over 64 MiB were queued");
  }
  if (writing_) return;
  if (outbox_.empty()) {
    const bool is_over = close_asked_;
    lock.unlock();
    if (is_over) close_gracefully();
    return;
  }
  outgoing_ = std::move(outbox_.front());
  outbox_.pop_front();
  lock.unlock();

  // A text frame must be UTF-8, and the other side cuts the connection when it isn't. The receiver gets the same bytes either way.
  socket_->text(is_utf8(outgoing_));
  writing_ = true;
  ++operations_;
  socket_->async_write(asio::buffer(outgoing_), [self = this->shared_from_this()](error_code error, std::size_t) { self->write_done(error); });
}

template <class Stream>
void WebSocketSession<Stream>::write_done(error_code error) {
  writing_ = false;
  operation_done();
  if (error) return finish(error);
  {
    std::lock_guard lock(mutex_);
    outbox_bytes_ -= outgoing_.size();
  }
  flush();
}

template <class Stream>
void WebSocketSession<Stream>::close_gracefully() {
  if (std::exchange(close_begun_, true)) return;
  ++operations_;
  socket_->async_close(websocket::close_code::normal, [self = this->shared_from_this()](error_code error) {
    self->operation_done();
    self->finish(error);
  });
}

template <class Stream>
void WebSocketSession<Stream>::on_message(std::function<void(std::string_view)> handler) {
  message_handler_ = handler ? std::make_shared<MessageHandler>(std::move(handler)) : nullptr;
  if (!message_handler_) return;
  // Later, so that the caller can set the other handler first.
  context_->post([self = this->shared_from_this()] {
    self->read();
    self->deliver();
  });
}

template <class Stream>
void WebSocketSession<Stream>::on_closed(std::function<void(const std::string& why)> handler) {
  if (told_) return;
  closed_handler_ = std::move(handler);
  if (!finished_ || !closed_handler_) return;
  context_->post([self = this->shared_from_this()] { self->deliver(); });
}

// Messages, then the end. A handler may send, close, replace the handlers or drop its last reference.
template <class Stream>
void WebSocketSession<Stream>::deliver() {
  if (std::exchange(delivering_, true)) return;
  struct Reset {
    bool& flag;
    ~Reset() { flag = false; }
  };
  {
    const Reset reset{delivering_};
    while (message_handler_ && !inbox_.empty()) {
      const std::string message = std::move(inbox_.front());
      inbox_.pop_front();
      inbox_bytes_ -= message.size();
      if (is_close_asked()) continue;
      const auto handler = message_handler_;
      (*handler)(message);
    }
  }
  if (!finished_) return;
  if (closed_handler_) {
    const auto handler = std::exchange(closed_handler_, nullptr);
    told_ = true;
    drop_handlers();
    handler(why_);
  } else if (inbox_.empty()) {
    message_handler_ = nullptr;  // of no use any more, and it may own us
  }
}

template <class Stream>
std::string WebSocketSession<Stream>::reason_of(const error_code& error) {
  if (error == websocket::error::closed) {
    const auto& reason = socket_->reason();
    if (reason.code == websocket::close_code::normal || reason.code == websocket::close_code::going_away ||
        reason.code == websocket::close_code::none) {
      return "";
    }
    return "closed by the other side: " + std::to_string(reason.code) + (reason.reason.empty() ? "" : " ") + std::string(reason.reason.c_str());
  }
  if (close_begun_) return error == beast::error::timeout ? "cut off: the other side didn't answer the closing" : "";
  if (error == asio::error::eof || error == asio::error::connection_reset || error == asio::error::broken_pipe) return "cut off by the other side";
  if (error == beast::error::timeout) return "cut off: nothing was heard for too long";
  return "cut off: " + describe(error);
}

template <class Stream>
void WebSocketSession<Stream>::finish(const error_code& error) {
  if (finished_) return;
  finish_because(error ? reason_of(error) : "");
}

template <class Stream>
void WebSocketSession<Stream>::finish_because(std::string why) {
  if (std::exchange(finished_, true)) return;
  why_ = std::move(why);
  {
    std::lock_guard lock(mutex_);
    accepts_ = false;
    outbox_.clear();
  }
  const auto self = this->shared_from_this();
  if (const auto served = served_.lock()) served->remove(self);
  // A close under way ends by itself, within its time limit; everything else ends here.
  if (!close_begun_) beast::get_lowest_layer(*socket_).close();
  context_->post([self] { self->deliver(); });
  if (operations_ == 0) socket_.reset();
}

// The socket goes on the loop's thread, not wherever the last handle is dropped.
template <class Stream>
void WebSocketSession<Stream>::operation_done() {
  if (--operations_ == 0 && finished_) socket_.reset();
}

template <class Stream>
void WebSocketSession<Stream>::cut(bool tell) {
  if (!tell) drop_handlers();
  if (finished_) return;
  finish_because("the server was closed");
  if (socket_) beast::get_lowest_layer(*socket_).close();
}

template <class Stream>
void WebSocketSession<Stream>::drop_handlers() {
  // Into locals first: a handler may hold the last reference to us.
  const auto message_handler = std::exchange(message_handler_, nullptr);
  const auto closed_handler = std::exchange(closed_handler_, nullptr);
  inbox_.clear();
  inbox_bytes_ = 0;
}

}  // namespace ultramarine::net
