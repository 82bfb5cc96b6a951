// See relay.h. An `Answer` is the right to reply to one request; it counts as open until it was given or dropped, also when nobody wants
// it any more: so an agent can't have more questions at work than it may by cancelling them.
#include "scheduler/server/relay.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>

#include "scheduler/net/base64.h"
#include "scheduler/net/proof.h"
#include "scheduler/protocol/api_messages.h"
#include "scheduler/protocol/codec.h"
#include "scheduler/server/front_door.h"

namespace ultramarine::server {

class Relay::Answer final : public net::Reply, public net::Stream, public std::enable_shared_from_this<Relay::Answer> {
 public:
  Answer(net::Loop& loop, std::shared_ptr<Open> open, Key key, std::shared_ptr<net::Connection> connection)
      : loop_(loop), open_(std::move(open)), key_(key), connection_(std::move(connection)) {}
  ~Answer() override {
    if (!over_.exchange(true)) {
      if (wanted_) piece(500, "application/json", error_body("conflict", "the request was dropped", "ask again"), true);
    }
    loop_.post([open = open_, key = key_] { open->erase(key); });
  }

  // ---- net::Reply
  void send(net::Response response) override {
    if (over_.exchange(true) || !wanted_) return;
    pieces(response.status, response.content_type, response.body, true);
  }
  std::shared_ptr<net::Stream> start_stream(int status, std::string content_type) override {
    status_ = status;
    content_type_ = std::move(content_type);
    if (wanted_) piece(status_, content_type_, "", false);
    return shared_from_this();
  }

  // ---- net::Stream
  bool write(std::string data) override {
    if (over_ || !wanted_ || queued_bytes_ > relayed_queue_bytes_max) return false;
    queued_bytes_ += data.size();
    pieces(status_, content_type_, data, false);
    return true;
  }
  void end() override {
    if (!over_.exchange(true) && wanted_) piece(status_, content_type_, "", true);
  }
  void on_closed(std::function<void()> handler) override { closed_ = std::move(handler); }
  void on_drained(std::function<void()> handler) override { drained_ = std::move(handler); }

  // ---- what the agent says
  void drained() {
    queued_bytes_ = 0;
    if (drained_ && !over_ && wanted_) drained_();
  }
  void unwanted() {
    if (!std::exchange(wanted_, false)) return;
    const auto closed = std::exchange(closed_, nullptr);
    drained_ = nullptr;
    if (!over_ && closed) closed();
  }

  static std::string error_body(const char* code, const char* message, const char* remedy) {
    return protocol::to_json(protocol::ErrorReply{code, "", message, remedy, net::random_hex(6)});
  }

 private:
  void piece(int status, const std::string& content_type, std::string_view data, bool at_end) {
    connection_->send(protocol::to_json(protocol::ToAgent{protocol::ApiReply{key_.second, status, content_type, net::to_base64(data), at_end}}));
  }
  void pieces(int status, const std::string& content_type, std::string_view data, bool at_end) {
    while (data.size() > relayed_piece_bytes_max) {
      piece(status, content_type, data.substr(0, relayed_piece_bytes_max), false);
      data.remove_prefix(relayed_piece_bytes_max);
    }
    piece(status, content_type, data, at_end);
  }

  net::Loop& loop_;
  const std::shared_ptr<Open> open_;
  const Key key_;
  const std::shared_ptr<net::Connection> connection_;
  std::atomic<bool> over_ = false;
  bool wanted_ = true;
  int status_ = 200;
  std::string content_type_;
  std::size_t queued_bytes_ = 0;
  std::function<void()> closed_, drained_;
};

std::size_t Relay::open_of(std::int64_t session) const {
  return static_cast<std::size_t>(std::distance(open_->lower_bound({session, INT64_MIN}), open_->upper_bound({session, INT64_MAX})));
}

void Relay::on_request(std::int64_t session, const std::string& node, const std::shared_ptr<net::Connection>& connection,
                       protocol::ApiRequest asked) {
  const Key key{session, asked.request};
  const auto refuse = [&](int status, const char* code, const char* message, const char* remedy) {
    const std::string body = net::to_base64(Answer::error_body(code, message, remedy));
    connection->send(protocol::to_json(protocol::ToAgent{protocol::ApiReply{asked.request, status, "application/json", body, true}}));
  };
  if (open_->count(key)) {
    spdlog::warn("agent of {} gave two requests the number {}", node, asked.request);
    return;
  }
  if (asked.uid < 0) return refuse(403, "not_permitted", "the node does not know who asks", "ask through its Unix socket");
  if (asked.body.size() > relayed_body_bytes_max) return refuse(413, "bad_request", "the request is larger than 4 MiB", "send less");
  if (open_of(session) >= relayed_requests_max)
    return refuse(503, "not_ready", "too many requests of this node are being answered", "try again in a moment");

  auto answer = std::make_shared<Answer>(loop_, open_, key, connection);
  open_->emplace(key, answer);
  net::Request request;
  request.method = std::move(asked.method);
  request.path = std::move(asked.path);
  request.query = std::move(asked.query);
  request.body = std::move(asked.body);
  request.headers["host"] = "localhost";
  api_.handle(api::Door::socket, relayed_caller(asked.uid, asked.user, node), std::move(request), std::move(answer));
}

void Relay::on_cancel(std::int64_t session, const protocol::ApiCancel& cancel) {
  const auto found = open_->find({session, cancel.request});
  if (found == open_->end()) return;
  if (const auto answer = found->second.lock()) answer->unwanted();
}

void Relay::on_drained(std::int64_t session, const protocol::ApiDrained& drained) {
  const auto found = open_->find({session, drained.request});
  if (found == open_->end()) return;
  if (const auto answer = found->second.lock()) answer->drained();
}

void Relay::on_session_gone(std::int64_t session) {
  std::vector<std::shared_ptr<Answer>> answers;
  for (auto found = open_->lower_bound({session, INT64_MIN}); found != open_->end() && found->first.first == session; ++found)
    if (auto answer = found->second.lock()) answers.push_back(std::move(answer));
  for (const auto& answer : answers) answer->unwanted();
}

}  // namespace ultramarine::server
