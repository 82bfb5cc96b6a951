// The connections of servers and clients over Unix sockets, compiled once.
#include "scheduler/net/http_session.h"
#include "scheduler/net/websocket_session_impl.h"

namespace ultramarine::net {

template class WebSocketSession<UnixStream>;
template void set_websocket_options<UnixStream>(WebSocket<UnixStream>&, std::size_t, const LineTimes&);
template void serve<UnixStream>(std::shared_ptr<ServerCore>, UnixStream&&, Peer);

}  // namespace ultramarine::net
