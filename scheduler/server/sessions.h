// Which agent is connected now, by node: the only thing about agents that both threads touch. The daemon's thread decides who is in;
// the loop's thread sends log requests.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "scheduler/net/websocket.h"
#include "scheduler/protocol/agent_messages.h"
#include "scheduler/protocol/codec.h"

namespace ultramarine::server {

class AgentSessions {
 public:
  /// Session `number` is now the one of `node`; returns the connection that it replaces, if any.
  std::shared_ptr<net::Connection> enter(const std::string& node, std::int64_t number, std::shared_ptr<net::Connection> connection) {
    const std::lock_guard lock(mutex_);
    Session& session = sessions_[node];
    session.number = number;
    std::swap(session.connection, connection);
    return connection;
  }
  /// The node's session is over, if `number` still is the node's.
  void leave(const std::string& node, std::int64_t number) {
    const std::lock_guard lock(mutex_);
    if (const auto session = sessions_.find(node); session != sessions_.end() && session->second.number == number) sessions_.erase(session);
  }
  /// The number of the session that it went to; 0 when the node is not connected.
  std::int64_t send(const std::string& node, const protocol::ToAgent& message) {
    Session to;
    {
      const std::lock_guard lock(mutex_);
      const auto session = sessions_.find(node);
      if (session == sessions_.end()) return 0;
      to = session->second;
    }
    to.connection->send(protocol::to_json(message));
    return to.number;
  }
  /// node -> number of its session.
  std::map<std::string, std::int64_t> numbers() const {
    const std::lock_guard lock(mutex_);
    std::map<std::string, std::int64_t> all;
    for (const auto& [node, session] : sessions_) all[node] = session.number;
    return all;
  }

 private:
  struct Session {
    std::int64_t number = 0;
    std::shared_ptr<net::Connection> connection;
  };
  mutable std::mutex mutex_;
  std::map<std::string, Session> sessions_;
};

}  // namespace ultramarine::server
