// Sockets before Asio has them: made with CLOEXEC (jobs are children of the agent and must not inherit its connections), listening
// with the care that a Unix socket's file needs, and the stream types that the templates of this room are compiled for.
#pragma once

#include <sys/types.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "scheduler/net/context.h"
#include "scheduler/net/endpoint.h"
#include "scheduler/net/file_descriptor.h"
#include "scheduler/net/websocket.h"

namespace ultramarine::net {

namespace beast = boost::beast;
using Tcp = asio::ip::tcp;
using Local = asio::local::stream_protocol;
using TcpStream = beast::basic_stream<Tcp, Executor>;
using UnixStream = beast::basic_stream<Local, Executor>;

/// One line for people. Asio's own words for an end of file and a timeout are unclear.
std::string describe(const error_code& error);
/// "can't `verb` `endpoint`: reason", with errno where the error is one.
NetError net_error(const std::string& verb, const Endpoint& endpoint, const error_code& error);

/// Of a TCP socket: how long what was sent may stay unconfirmed before the connection counts as cut.
void set_unacknowledged_max(int fd, std::chrono::milliseconds length);

/// Listening, non-blocking. `actual` has the port that was chosen. Throws NetError.
FileDescriptor listen_on(const Endpoint& endpoint, int unix_mode, Endpoint& actual);

/// The file of a listening Unix socket; removes it unless somebody else has put another one there.
class SocketFile {
 public:
  explicit SocketFile(const std::string& path);
  void remove();

 private:
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

enum class Accepted { connection, none_waiting, trouble };  // trouble: no descriptors or memory left; try later
/// The next waiting client, with who it is. Non-blocking and without delay of small packets.
Accepted accept_from(int listening_fd, bool is_unix, FileDescriptor& client, Peer& peer);
/// Who is at the other end, from the kernel. `uid` stays -1 when it doesn't say.
Peer unix_peer_of(int fd);
/// Puts a descriptor of a connected socket into a stream.
template <class Stream>
Stream stream_from(Context& context, FileDescriptor fd, int family) {
  typename Stream::socket_type socket(context.get_executor());
  if constexpr (std::is_same_v<typename Stream::protocol_type, Tcp>) {
    socket.assign(family == AF_INET6 ? Tcp::v6() : Tcp::v4(), fd.release());
  } else {
    (void)family;
    socket.assign(Local(), fd.release());
  }
  return Stream(std::move(socket));
}
int family_of(int fd);

/// Connects `stream` (resolving a name and trying its addresses in turn), then calls `done` on the loop's thread. No time limit of its own: closing the
/// stream's socket or setting `*given_up` ends it. `keep` lives as long as the attempt.
template <class Stream>
void connect_stream(std::shared_ptr<Context> context, Stream& stream, const Endpoint& endpoint, std::shared_ptr<void> keep,
                    std::shared_ptr<const bool> given_up, std::function<void(error_code)> done);

}  // namespace ultramarine::net
