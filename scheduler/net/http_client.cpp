// One request on a connection of its own, blocking the caller: its own small loop, one deadline for everything.
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <array>
#include <optional>

#include "scheduler/net/http_message.h"

namespace ultramarine::net {
namespace {

constexpr auto stream_begin_max = std::chrono::seconds(30);  // until the header of a streamed answer is there

template <class Stream>
class Exchange final : public std::enable_shared_from_this<Exchange<Stream>> {
 public:
  Exchange(std::shared_ptr<Context> context, const Endpoint& endpoint, RequestMessage message, std::function<bool(std::string_view)> on_piece)
      : context_(std::move(context)), endpoint_(endpoint), message_(std::move(message)), on_piece_(std::move(on_piece)),
        stream_(context_->get_executor()), deadline_(*context_), interrupt_(*context_) {
    parser_.body_limit(boost::none);
    parser_.skip(message_.method() == http::verb::head);
  }
  ~Exchange() {
    if (interrupt_.is_open()) interrupt_.release();  // not ours to close
  }

  void start(std::chrono::milliseconds timeout, int interrupt_fd) {
    deadline_.expires_after(timeout);
    deadline_.async_wait([self = self()](error_code error) {
      if (!error) self->fail(beast::error::timeout);
    });
    if (interrupt_fd >= 0) {
      interrupt_.assign(interrupt_fd);
      interrupt_.async_wait(asio::posix::stream_descriptor::wait_read, [self = self()](error_code error) {
        if (!error) self->finish();
      });
    }
    verb_ = "connect to";
    connect_stream(context_, stream_, endpoint_, self(), finished_, [self = self()](error_code error) {
      if (*self->finished_) return;
      if (error) return self->fail(error);
      self->write();
    });
  }

  Response take() {
    if (error_) throw net_error(verb_, endpoint_, error_);
    return std::move(response_);
  }

 private:
  std::shared_ptr<Exchange> self() { return this->shared_from_this(); }

  void write() {
    verb_ = "get an answer from";
    http::async_write(stream_, message_, [self = self()](error_code error, std::size_t) {
      if (*self->finished_) return;
      self->write_error_ = error;  // a server that refuses the body answers before it has read it
      self->read_header();
    });
  }

  void read_header() {
    http::async_read_header(stream_, buffer_, parser_, [self = self()](error_code error, std::size_t) {
      if (*self->finished_) return;
      if (error) return self->fail(self->write_error_ ? self->write_error_ : error == http::error::end_of_stream ? asio::error::eof : error);
      self->header_done();
    });
  }

  void header_done() {
    const auto& head = parser_.get();
    response_.status = head.result_int();
    copy_fields(head.base(), response_.headers);
    const auto content_type = head[http::field::content_type];
    response_.content_type.assign(content_type.data(), content_type.size());
    if (response_.status < 200 || response_.status > 299) on_piece_ = nullptr;
    if (on_piece_) deadline_.cancel();
    read_body();
  }

  // One read, whatever it brings: pieces are handed over as they come.
  void read_body() {
    if (parser_.is_done()) return finish();
    parser_.get().body().data = piece_.data();
    parser_.get().body().size = piece_.size();
    parser_.get().body().more = true;
    http::async_read_some(stream_, buffer_, parser_, [self = self()](error_code error, std::size_t) {
      if (*self->finished_) return;
      const std::size_t length = self->piece_.size() - self->parser_.get().body().size;
      if (length > 0 && !self->hand_over({self->piece_.data(), length})) return self->finish();
      if (error && error != http::error::need_buffer) return self->fail(error == http::error::partial_message ? asio::error::eof : error);
      self->read_body();
    });
  }

  bool hand_over(std::string_view piece) {
    if (on_piece_) return on_piece_(piece);
    response_.body += piece;
    return true;
  }

  void fail(const error_code& error) {
    if (*finished_) return;
    error_ = error;
    finish();
  }

  void finish() {
    *finished_ = true;
    context_->stop();
  }

  const std::shared_ptr<Context> context_;
  const Endpoint endpoint_;
  RequestMessage message_;
  std::function<bool(std::string_view)> on_piece_;  // none: the body goes into the response
  Stream stream_;
  asio::steady_timer deadline_;
  asio::posix::stream_descriptor interrupt_;
  std::shared_ptr<bool> finished_ = std::make_shared<bool>(false);
  beast::flat_buffer buffer_;
  std::array<char, 16 << 10> piece_;
  http::response_parser<http::buffer_body> parser_;
  std::string verb_;
  error_code write_error_;
  error_code error_;
  Response response_{.status = 0, .content_type = "", .body = "", .headers = {}};
};

template <class Stream>
Response exchange(const Endpoint& endpoint, RequestMessage message, std::chrono::milliseconds timeout, std::function<bool(std::string_view)> on_piece,
                  int interrupt_fd) {
  const auto context = std::make_shared<Context>();
  const auto exchange = std::make_shared<Exchange<Stream>>(context, endpoint, std::move(message), std::move(on_piece));
  // Ends the waiting operations, which own the exchange, also when `on_piece` throws.
  struct End {
    Context& context;
    ~End() { context.end(); }
  } end{*context};
  exchange->start(timeout, interrupt_fd);
  context->run();
  return exchange->take();
}

Response exchange_over(const Endpoint& endpoint, const Request& request, std::chrono::milliseconds timeout,
                       std::function<bool(std::string_view)> on_piece, int interrupt_fd) {
  RequestMessage message = message_from(request, endpoint);
  return endpoint.is_unix() ? exchange<UnixStream>(endpoint, std::move(message), timeout, std::move(on_piece), interrupt_fd)
                            : exchange<TcpStream>(endpoint, std::move(message), timeout, std::move(on_piece), interrupt_fd);
}

}  // namespace

Response fetch(const Endpoint& endpoint, const Request& request, std::chrono::milliseconds timeout) {
  return exchange_over(endpoint, request, timeout, nullptr, -1);
}

Response fetch_stream(const Endpoint& endpoint, const Request& request, std::function<bool(std::string_view)> on_piece, int interrupt_fd) {
  return exchange_over(endpoint, request, stream_begin_max, std::move(on_piece), interrupt_fd);
}

}  // namespace ultramarine::net
