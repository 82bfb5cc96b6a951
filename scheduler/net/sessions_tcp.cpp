// The connections of servers and clients over TCP, compiled once.
#include "scheduler/net/http_session.h"
#include "scheduler/net/websocket_session_impl.h"

namespace ultramarine::net {

template class WebSocketSession<TcpStream>;
template void set_websocket_options<TcpStream>(WebSocket<TcpStream>&, std::size_t, const LineTimes&);
template void serve<TcpStream>(std::shared_ptr<ServerCore>, TcpStream&&, Peer);

}  // namespace ultramarine::net
