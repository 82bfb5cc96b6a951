// An answer that is sent piece by piece: chunked for HTTP/1.1, plain for HTTP/1.0, and the connection ends with it. A read is always
// waiting, because that is how a client that goes away is noticed.
#pragma once

#include <array>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/serializer.hpp>
#include <charconv>
#include <sstream>

#include "scheduler/net/http_message.h"
#include "scheduler/net/session_set.h"

namespace ultramarine::net {

constexpr std::size_t stream_queued_bytes_max = 8 << 20;
constexpr auto stream_linger_time_max = std::chrono::seconds(2);

class StreamedAnswer : public net::Stream {
 public:
  /// The handle is gone: without `end` before, the answer is cut off so that the client sees that it isn't whole.
  virtual void abandon() = 0;
};

class StreamHandle final : public net::Stream {
 public:
  explicit StreamHandle(std::shared_ptr<StreamedAnswer> answer) : answer_(std::move(answer)) {}
  ~StreamHandle() override { answer_->abandon(); }
  bool write(std::string piece) override { return answer_->write(std::move(piece)); }
  void end() override { answer_->end(); }
  void on_closed(std::function<void()> handler) override { answer_->on_closed(std::move(handler)); }
  void on_drained(std::function<void()> handler) override { answer_->on_drained(std::move(handler)); }

 private:
  std::shared_ptr<StreamedAnswer> answer_;
};

template <class SocketStream>
class StreamSession final : public StreamedAnswer,
                            public ServedSession,
                            public HandlerHolder,
                            public std::enable_shared_from_this<StreamSession<SocketStream>> {
 public:
  StreamSession(std::shared_ptr<Context> context, SocketStream&& stream, std::weak_ptr<SessionSet> served, bool chunked, bool header_only)
      : context_(std::move(context)), stream_(std::move(stream)), timer_(*context_), served_(std::move(served)), chunked_(chunked),
        header_only_(header_only) {}
  ~StreamSession() override { context_->remove(this); }

  void start(ResponseMessage&& head) {
    context_->add(this->shared_from_this());
    head.erase(http::field::content_length);
    if (chunked_) head.set(http::field::transfer_encoding, "chunked");
    head.set(http::field::cache_control, "no-cache");
    std::ostringstream text;
    text << head.base();
    pending_ = text.str();
    stream_.expires_never();
    read();
    flush();
  }

  bool write(std::string piece) override {
    if (closed_ || ended_) return false;
    if (pending_.size() + sending_.size() > stream_queued_bytes_max) {
      // What was refused is missing from the answer, so the client must not take it for whole.
      context_->post([self = this->shared_from_this()] { self->gone(); });
      return false;
    }
    if (piece.empty() || header_only_) return true;  // an empty chunk would be the end
    if (chunked_) {
      std::array<char, 20> digits;
      const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), piece.size(), 16).ptr;
      pending_.append(digits.data(), end).append("\r\n").append(piece).append("\r\n");
    } else {
      pending_ += piece;
    }
    flush();
    return true;
  }

  void end() override {
    if (closed_ || std::exchange(ended_, true)) return;
    if (chunked_ && !header_only_) pending_ += "0\r\n\r\n";
    drop_handlers();
    flush();
    if (sending_.empty()) linger();
  }

  void abandon() override {
    if (closed_ || ended_) return;
    drop_handlers();
    context_->post([self = this->shared_from_this()] { self->gone(); });
  }

  void on_closed(std::function<void()> handler) override {
    if (ended_) return;
    closed_handler_ = std::move(handler);
    if (closed_ && closed_handler_) context_->post([self = this->shared_from_this()] { self->report_closed(); });
  }

  void on_drained(std::function<void()> handler) override {
    if (closed_ || ended_) return;
    drained_handler_ = handler ? std::make_shared<std::function<void()>>(std::move(handler)) : nullptr;
  }

  void cut(bool tell) override {
    if (!tell) drop_handlers();
    if (closed_) return;
    close();
    context_->post([self = this->shared_from_this()] { self->report_closed(); });
  }

  void drop_handlers() override {
    const auto closed_handler = std::exchange(closed_handler_, nullptr);
    const auto drained_handler = std::exchange(drained_handler_, nullptr);
  }

 private:
  void read() {
    stream_.async_read_some(asio::buffer(ignored_), [self = this->shared_from_this()](error_code error, std::size_t) {
      if (self->closed_) return;
      if (error) return self->gone();
      self->read();
    });
  }

  void flush() {
    if (closed_ || !sending_.empty() || pending_.empty()) return;
    sending_.swap(pending_);
    asio::async_write(stream_, asio::buffer(sending_), [self = this->shared_from_this()](error_code error, std::size_t) { self->sent(error); });
  }

  void sent(error_code error) {
    sending_.clear();
    if (closed_) return;
    if (error) return gone();
    if (!pending_.empty()) return flush();
    pending_.shrink_to_fit();
    if (ended_) return linger();
    if (const auto handler = drained_handler_) (*handler)();
  }

  // As in HttpSession: the client reads to the end and closes; the waiting read sees it.
  void linger() {
    error_code ignored;
    stream_.socket().shutdown(asio::socket_base::shutdown_send, ignored);
    timer_.expires_after(stream_linger_time_max);
    timer_.async_wait([self = this->shared_from_this()](error_code error) {
      if (!error) self->gone();
    });
  }

  void gone() {
    if (closed_) return;
    close();
    report_closed();
  }

  void close() {
    closed_ = true;
    timer_.cancel();
    stream_.close();
    pending_.clear();
    if (const auto served = served_.lock()) served->remove(this->shared_from_this());
  }

  void report_closed() {
    const auto self = this->shared_from_this();
    const auto drained_handler = std::exchange(drained_handler_, nullptr);
    if (const auto handler = std::exchange(closed_handler_, nullptr)) handler();
  }

  const std::shared_ptr<Context> context_;
  SocketStream stream_;
  asio::steady_timer timer_;
  const std::weak_ptr<SessionSet> served_;
  const bool chunked_;
  const bool header_only_;
  std::array<char, 512> ignored_;
  std::string pending_;
  std::string sending_;
  bool ended_ = false;
  bool closed_ = false;
  std::function<void()> closed_handler_;
  std::shared_ptr<std::function<void()>> drained_handler_;
};

}  // namespace ultramarine::net
