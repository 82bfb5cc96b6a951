// Requests to the API that reached an agent's socket on its node: answered as if they had come through our own Unix socket, by the word
// of the agent on who asks (it proved the cluster secret). Long answers go piece by piece, no faster than the agent hands them on.
// Loop's thread only.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "scheduler/api/api.h"
#include "scheduler/net/loop.h"
#include "scheduler/net/websocket.h"
#include "scheduler/protocol/agent_messages.h"

namespace ultramarine::server {

constexpr std::size_t relayed_requests_max = 512;           // at once, of one agent: more than it takes, for those given up
constexpr std::size_t relayed_body_bytes_max = 4 << 20;     // of a request
constexpr std::size_t relayed_piece_bytes_max = 8 << 20;    // of an answer, in one message
constexpr std::size_t relayed_queue_bytes_max = 8 << 20;    // of a stream, sent but not drained

class Relay {
 public:
  Relay(net::Loop& loop, api::Api& api) : loop_(loop), api_(api) {}

  /// `session`: the number of the agent's connection.
  void on_request(std::int64_t session, const std::string& node, const std::shared_ptr<net::Connection>& connection, protocol::ApiRequest request);
  void on_cancel(std::int64_t session, const protocol::ApiCancel& cancel);
  void on_drained(std::int64_t session, const protocol::ApiDrained& drained);
  void on_session_gone(std::int64_t session);
  std::size_t open_requests() const { return open_->size(); }

 private:
  class Answer;
  using Key = std::pair<std::int64_t, std::int64_t>;  // session, request
  using Open = std::map<Key, std::weak_ptr<Answer>>;
  std::size_t open_of(std::int64_t session) const;

  net::Loop& loop_;
  api::Api& api_;
  std::shared_ptr<Open> open_ = std::make_shared<Open>();  // answers may outlive the relay
};

}  // namespace ultramarine::server
