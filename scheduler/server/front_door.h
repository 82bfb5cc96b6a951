// The two doors of the API: the Unix socket, where the kernel says who asks, and loopback TCP, where nobody knows. Turns peers into
// callers, logs what was answered and counts it; hands out the files of the web page.
#pragma once

#include <memory>
#include <string>

#include "scheduler/api/api.h"
#include "scheduler/net/http.h"
#include "scheduler/server/daemon.h"
#include "scheduler/server/page_files.h"

namespace ultramarine::server {

class FrontDoor {
 public:
  FrontDoor(net::Loop& loop, Daemon& daemon, const std::string& version, PageFiles page);

  /// The Unix socket at `path`. Throws NetError.
  std::unique_ptr<net::Server> listen_unix(const std::string& path);
  /// Loopback TCP. Throws NetError.
  std::unique_ptr<net::Server> listen_loopback(const net::Endpoint& endpoint);
  /// For requests that come another way.
  api::Api& api() { return api_; }

 private:
  net::Loop& loop_;
  api::Api api_;
  const PageFiles page_;
};

/// Name of a user, "" when there is none.
std::string user_name(std::int64_t uid);
/// Who is at the other end of a Unix socket: name and groups from the system's user database.
api::Caller caller_of(const net::Peer& peer);
/// Who asks by the word of a node's agent: the name of that uid here, else the one that the agent says. The channel is `agent:NODE`.
api::Caller relayed_caller(std::int64_t uid, const std::string& user, const std::string& node);

}  // namespace ultramarine::server
