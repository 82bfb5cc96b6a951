// What all connections of one server share.
#pragma once

#include <memory>

#include "scheduler/net/http.h"
#include "scheduler/net/session_set.h"
#include "scheduler/net/socket.h"

namespace ultramarine::net {

struct ServerHandlers {
  Handler request;
  std::map<std::string, UpgradeHandler> websockets;
};

struct ServerCore {
  std::shared_ptr<Context> context;
  ServerOptions options;                           // without the handlers
  std::shared_ptr<const ServerHandlers> handlers;  // whoever calls one holds a copy: it may destroy the server
  std::shared_ptr<SessionSet> sessions = std::make_shared<SessionSet>();
};

/// Begins to serve a connection. Compiled once per kind of stream (sessions_tcp.cpp, sessions_unix.cpp).
template <class Stream>
void serve(std::shared_ptr<ServerCore> server, Stream&& stream, Peer peer);

extern template void serve<TcpStream>(std::shared_ptr<ServerCore>, TcpStream&&, Peer);
extern template void serve<UnixStream>(std::shared_ptr<ServerCore>, UnixStream&&, Peer);

}  // namespace ultramarine::net
