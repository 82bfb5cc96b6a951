// The agents' door: a WebSocket on /v1/agents. Both sides prove the cluster secret, the agent says hello, and from then on its messages
// go to the daemon in order. Decides nothing: who is accepted is the daemon's business. Loop's thread only.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "scheduler/net/http.h"
#include "scheduler/net/websocket.h"
#include "scheduler/server/daemon.h"
#include "scheduler/server/relay.h"

namespace ultramarine::server {

constexpr const char* agents_path = "/v1/agents";
/// What a proof on this connection is good for, and nothing else.
constexpr const char* agents_context = "ultramarine agents 1";

class AgentDoor {
 public:
  /// `api` answers what agents relay; it outlives the door.
  AgentDoor(net::Loop& loop, Daemon& daemon, std::string cluster_secret, api::Api& api);

  const Relay& relay() const { return relay_; }

  /// Listens; answers everything but the upgrade with 404. Throws NetError.
  std::unique_ptr<net::Server> listen(const net::Endpoint& endpoint, net::LineTimes line = {});

 private:
  struct Session;
  void open(std::shared_ptr<net::Connection> connection);
  void receive(const std::shared_ptr<Session>& session, std::string_view text);
  void close(const std::shared_ptr<Session>& session, const std::string& why);

  net::Loop& loop_;
  Daemon& daemon_;
  const std::string cluster_secret_;
  Relay relay_;
  std::map<std::int64_t, std::shared_ptr<Session>> sessions_;
  std::int64_t last_number_ = 0;
};

}  // namespace ultramarine::server
