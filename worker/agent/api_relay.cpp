#include "worker/agent/api_relay.h"

#include <unistd.h>

#include <utility>

#include "scheduler/net/base64.h"
#include "scheduler/protocol/api_messages.h"
#include "scheduler/protocol/codec.h"
#include "worker/agent/user_name.h"

namespace ultramarine::agent {
namespace {

net::Response refusal(int status, const std::string& code, const std::string& message, const std::string& remedy) {
  return {.status = status, .body = protocol::to_json(protocol::ErrorReply{.code = code, .message = message, .remedy = remedy})};
}

net::Response not_connected() {
  return refusal(503, "not_ready", "this node's agent has no connection to the scheduler", "jobs run on meanwhile; try again in a few seconds");
}

}  // namespace

ApiRelay::ApiRelay(net::Loop& loop, World world, RelayLimits limits) : loop_(loop), world_(std::move(world)), limits_(limits) {}

ApiRelay::~ApiRelay() {
  server_.reset();
  open_.clear();
}

void ApiRelay::listen(const std::string& path) {
  name_ = std::make_unique<launcher::ShortName>(path);
  net::ServerOptions options;
  options.body_bytes_max = limits_.body_bytes_max;
  // The kernel says who asks. Where all jobs run as one user, nobody else needs to.
  options.unix_mode = geteuid() == 0 ? 0666 : 0600;
  server_ = net::listen(
      loop_, net::Endpoint{.path = name_->text()},
      [this](net::Request request, std::shared_ptr<net::Reply> reply) { ask(std::move(request), std::move(reply)); }, options);
}

void ApiRelay::ask(net::Request request, std::shared_ptr<net::Reply> reply) {
  if (request.peer.uid < 0) return reply->send(refusal(403, "not_permitted", "the kernel doesn't say who is asking", "use the socket on this node"));
  if (!world_.is_connected()) return reply->send(not_connected());
  if (open_.size() >= limits_.requests_max) {
    return reply->send(refusal(503, "not_ready", "this node has " + std::to_string(open_.size()) + " requests to the scheduler open at once",
                               "end some of them (each `ultra run` and `ultra logs --follow` is one), then try again"));
  }
  const std::int64_t number = ++last_number_;
  open_[number].reply = std::move(reply);
  open_[number].patience = loop_.after(limits_.first_piece_max, [this, number] { unanswered(number); });
  world_.send(protocol::ApiRequest{.request = number,
                                   .uid = request.peer.uid,
                                   .user = user_name(static_cast<uid_t>(request.peer.uid)),
                                   .method = std::move(request.method),
                                   .path = std::move(request.path),
                                   .query = std::move(request.query),
                                   .body = std::move(request.body)});
}

void ApiRelay::on_reply(const protocol::ApiReply& reply) {
  const auto found = open_.find(reply.request);
  if (found == open_.end()) return;  // given up meanwhile
  Open& open = found->second;
  open.patience.reset();
  std::string piece;
  try {
    piece = net::from_base64(reply.data_base64);
  } catch (const std::exception&) {
    return give_up(reply.request);
  }
  if (open.reply && reply.at_end) {
    open.reply->send({.status = static_cast<int>(reply.status), .content_type = reply.content_type, .body = std::move(piece)});
    open_.erase(found);
    return;
  }
  if (open.reply) begin_stream(reply.request, open, reply);
  if (!piece.empty() && !open.stream->write(std::move(piece))) return give_up(reply.request);
  if (!reply.at_end) return;
  open.stream->end();
  open_.erase(found);
}

void ApiRelay::begin_stream(std::int64_t number, Open& open, const protocol::ApiReply& reply) {
  open.stream = std::exchange(open.reply, nullptr)->start_stream(static_cast<int>(reply.status), reply.content_type);
  open.stream->on_closed([this, number] { give_up(number); });
  open.stream->on_drained([this, number] {
    if (open_.contains(number)) world_.send(protocol::ApiDrained{number});
  });
}

/// Whoever asked is gone, or reads too slowly, or can't be given what came.
void ApiRelay::give_up(std::int64_t number) {
  const auto found = open_.find(number);
  if (found == open_.end()) return;
  const Open open = std::move(found->second);  // dropped at the end of this function: an answer that had begun is cut off
  open_.erase(found);
  world_.send(protocol::ApiCancel{number});
}

/// A scheduler that hears us but doesn't know what to do with it: it is older than this agent.
void ApiRelay::unanswered(std::int64_t number) {
  const auto found = open_.find(number);
  if (found == open_.end() || !found->second.reply) return;
  found->second.reply->send(refusal(503, "not_ready", "the scheduler doesn't answer requests that come over an agent",
                                    "install the same version on the scheduler and on this node"));
  give_up(number);
}

void ApiRelay::on_lost() {
  for (auto& [number, open] : std::exchange(open_, {})) {
    if (open.reply) open.reply->send(not_connected());
  }
}

}  // namespace ultramarine::agent
