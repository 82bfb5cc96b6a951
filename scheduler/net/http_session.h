// One HTTP connection of a server: read a request, let the handler answer it, send the answer, again. A streamed answer and a
// WebSocket take the connection over and leave this session behind.
#pragma once

#include <atomic>
#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <chrono>
#include <optional>

#include "scheduler/net/http_message.h"
#include "scheduler/net/http_server.h"
#include "scheduler/net/stream_session.h"
#include "scheduler/net/websocket_session.h"

namespace ultramarine::net {

constexpr std::uint32_t header_bytes_max = 16 << 10;
constexpr auto idle_time_max = std::chrono::seconds(60);     // between two requests
constexpr auto answer_time_max = std::chrono::seconds(60);   // for the client to take an answer
constexpr auto linger_time_max = std::chrono::seconds(2);    // for the client to read an answer that ends the connection

/// What a Reply needs of its session, whatever the stream.
class Answerable {
 public:
  virtual ~Answerable() = default;
  virtual void answer(Response response) = 0;
  virtual std::shared_ptr<net::Stream> answer_with_stream(int status, const std::string& content_type) = 0;
};

/// The Reply that a handler gets: outlives its session harmlessly.
class PendingReply final : public Reply {
 public:
  PendingReply(std::shared_ptr<Context> context, std::weak_ptr<Answerable> session) : context_(std::move(context)), session_(std::move(session)) {}
  ~PendingReply() override { send(error_response(500, "internal_error", "the request was not answered")); }
  void send(Response response) override;
  std::shared_ptr<net::Stream> start_stream(int status, std::string content_type) override;

 private:
  std::shared_ptr<Context> context_;
  std::weak_ptr<Answerable> session_;
  std::atomic<bool> answered_ = false;
};

template <class Stream>
class HttpSession final : public ServedSession, public Answerable, public std::enable_shared_from_this<HttpSession<Stream>> {
 public:
  HttpSession(std::shared_ptr<ServerCore> server, Stream&& stream, Peer peer)
      : server_(std::move(server)), stream_(std::move(stream)), peer_(std::move(peer)) {}

  void read_header() {
    parser_.emplace();
    parser_->header_limit(header_bytes_max);
    parser_->body_limit(server_->options.body_bytes_max);
    stream_.expires_after(server_->options.header_time_max);
    http::async_read_header(stream_, buffer_, *parser_, [self = self()](error_code error, std::size_t) { self->header_done(error); });
  }

  void answer(Response response) override {
    if (closed_ || !awaits_answer_) return;
    awaits_answer_ = false;
    send(std::move(response), parser_keeps_alive_);
  }

  std::shared_ptr<net::Stream> answer_with_stream(int status, const std::string& content_type) override {
    if (closed_ || !awaits_answer_) return nullptr;
    awaits_answer_ = false;
    Response head;
    head.status = status;
    head.content_type = content_type;
    auto message = message_from(std::move(head), version_, false, is_head_);
    auto streamed = std::make_shared<StreamSession<Stream>>(server_->context, std::move(stream_), server_->sessions, version_ >= 11, is_head_);
    server_->sessions->add(streamed);
    leave();
    streamed->start(std::move(message));
    return std::make_shared<StreamHandle>(streamed);
  }

  void cut(bool) override { close(); }

 private:
  std::shared_ptr<HttpSession> self() { return this->shared_from_this(); }

  void header_done(error_code error) {
    if (closed_) return;
    if (error) return refuse(error);
    if (websocket::is_upgrade(parser_->get())) return upgrade();
    stream_.expires_after(server_->options.body_time_max);
    if (beast::iequals(parser_->get()[http::field::expect], "100-continue") && !parser_->is_done()) {
      static constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
      asio::async_write(stream_, asio::buffer(go_on.data(), go_on.size()), [self = self()](error_code write_error, std::size_t) {
        if (write_error) return self->close();
        self->read_body();
      });
      return;
    }
    read_body();
  }

  void read_body() {
    http::async_read(stream_, buffer_, *parser_, [self = self()](error_code error, std::size_t) { self->body_done(error); });
  }

  void body_done(error_code error) {
    if (closed_) return;
    if (error) return refuse(error);
    stream_.expires_never();
    version_ = parser_->get().version();
    parser_keeps_alive_ = parser_->get().keep_alive();
    is_head_ = parser_->get().method() == http::verb::head;
    auto request = request_from(parser_->release(), peer_);
    if (!request) return send(error_response(400, "bad_request", "malformed request target"), false);

    awaits_answer_ = true;
    const auto reply = std::make_shared<PendingReply>(server_->context, this->weak_from_this());
    const auto handlers = server_->handlers;
    if (!handlers->request) return;
    try {
      handlers->request(std::move(*request), reply);
    } catch (const std::exception& exception) {
      reply->send(error_response(500, "internal_error", exception.what()));
    }
  }

  // The client sent something else than a request.
  void refuse(error_code error) {
    if (error == http::error::body_limit) return send(error_response(413, "too_large", "the body is too large"), false);
    if (error == http::error::header_limit) return send(error_response(431, "bad_request", "the header is too large"), false);
    const bool is_malformed = error.category() == http::make_error_code(http::error::bad_method).category() &&
                              error != http::error::end_of_stream && error != http::error::partial_message;
    if (is_malformed) return send(error_response(400, "bad_request", "malformed request: " + error.message()), false);
    close();
  }

  void send(Response&& response, bool keep_alive) {
    response_ = message_from(std::move(response), version_, keep_alive, is_head_);
    stream_.expires_after(answer_time_max);
    http::async_write(stream_, *response_, [self = self(), keep_alive](error_code error, std::size_t) {
      if (self->closed_) return;
      self->response_.reset();
      if (error) return self->close();
      keep_alive ? self->await_next() : self->linger();
    });
  }

  // The header's time limit begins with its first byte, not with the end of the request before.
  void await_next() {
    is_head_ = false;
    if (buffer_.size() > 0) return read_header();
    stream_.expires_after(idle_time_max);
    stream_.async_read_some(buffer_.prepare(4096), [self = self()](error_code error, std::size_t bytes) {
      if (self->closed_) return;
      if (error) return self->close();
      self->buffer_.commit(bytes);
      self->read_header();
    });
  }

  // Closing with unread bytes would reset the connection, and the client might never see the answer.
  void linger() {
    error_code ignored;
    stream_.socket().shutdown(asio::socket_base::shutdown_send, ignored);
    stream_.expires_after(linger_time_max);
    discard();
  }

  void discard() {
    buffer_.clear();
    stream_.async_read_some(buffer_.prepare(16 << 10), [self = self()](error_code error, std::size_t) {
      if (self->closed_) return;
      if (error) return self->close();
      self->discard();
    });
  }

  void upgrade() {
    version_ = parser_->get().version();
    const auto request = request_from(RequestMessage(parser_->get()), peer_);
    if (!request) return send(error_response(400, "bad_request", "malformed request target"), false);
    if (buffer_.size() > 0) return send(error_response(400, "bad_request", "frames before the handshake was answered"), false);
    if (!server_->handlers->websockets.contains(request->path)) return send(error_response(404, "not_found", "no WebSocket here"), false);

    stream_.expires_never();
    auto socket = std::make_shared<WebSocket<Stream>>(std::move(stream_));
    set_websocket_options(*socket, server_->options.message_bytes_max, server_->options.line);
    auto& message = parser_->get();
    accepting_ = socket;
    socket->async_accept(message, [self = self(), socket, request = std::move(*request)](error_code error) {
      self->accepting_ = nullptr;
      if (self->closed_ || error) return self->leave();
      self->upgraded(std::move(*socket), request);
    });
  }

  void upgraded(WebSocket<Stream>&& socket, const Request& request) {
    const auto handlers = server_->handlers;
    const auto found = handlers->websockets.find(request.path);
    if (found == handlers->websockets.end()) return leave();
    auto session = std::make_shared<WebSocketSession<Stream>>(server_->context, std::move(socket), peer_, server_->sessions);
    server_->sessions->add(session);
    leave();
    session->start();
    found->second(request, session);
  }

  void close() {
    if (closed_) return;
    leave();
    accepting_ ? beast::get_lowest_layer(*accepting_).close() : stream_.close();
  }

  void leave() {
    closed_ = true;
    server_->sessions->remove(self());
  }

  const std::shared_ptr<ServerCore> server_;
  Stream stream_;
  const Peer peer_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::optional<ResponseMessage> response_;
  std::shared_ptr<WebSocket<Stream>> accepting_;
  unsigned version_ = 11;
  bool parser_keeps_alive_ = true;
  bool is_head_ = false;
  bool awaits_answer_ = false;
  bool closed_ = false;
};

template <class Stream>
void serve(std::shared_ptr<ServerCore> server, Stream&& stream, Peer peer) {
  auto session = std::make_shared<HttpSession<Stream>>(server, std::move(stream), std::move(peer));
  server->sessions->add(session);
  session->read_header();
}

}  // namespace ultramarine::net
