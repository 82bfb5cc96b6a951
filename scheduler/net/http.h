// HTTP/1.1, server and client, over TCP or Unix sockets. std-only interface over Beast; TLS will be one more Endpoint kind.
// Limits: header 16 KiB within 5 s, body `body_bytes_max` within 30 s, write queue of a stream 8 MiB.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/net/endpoint.h"
#include "scheduler/net/loop.h"
#include "scheduler/net/websocket.h"

namespace ultramarine::net {

struct Request {
  std::string method;                         // upper case
  std::string path;                           // decoded, without the query
  std::map<std::string, std::string> query;   // decoded
  std::map<std::string, std::string> headers; // names in lower case
  std::string body;
  Peer peer;
  std::string header(const std::string& lower_case_name) const;  // "" when absent
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::map<std::string, std::string> headers;
};

/// A response that is sent piece by piece (chunked). On the loop's thread only.
class Stream {
 public:
  virtual ~Stream() = default;
  /// Queues `piece`. False when the client is gone or reads too slowly (over 8 MiB queued): then stop.
  virtual bool write(std::string piece) = 0;
  virtual void end() = 0;
  /// Called once if the client goes away before `end`.
  virtual void on_closed(std::function<void()> handler) = 0;
  /// Called each time when all that was queued has been sent: the moment to write more of something long.
  virtual void on_drained(std::function<void()> handler) = 0;
};

/// The right to answer one request, once, now or later, from any thread. Dropping it unanswered answers 500.
class Reply {
 public:
  virtual ~Reply() = default;
  virtual void send(Response response) = 0;
  /// Loop's thread only. Sends the header at once.
  virtual std::shared_ptr<Stream> start_stream(int status, std::string content_type) = 0;
};

using Handler = std::function<void(Request, std::shared_ptr<Reply>)>;
/// A client upgraded to a WebSocket: set the handlers of the connection before returning.
using UpgradeHandler = std::function<void(const Request&, std::shared_ptr<Connection>)>;

struct ServerOptions {
  std::size_t body_bytes_max = 4 << 20;
  std::size_t message_bytes_max = 16 << 20;  // of a WebSocket message
  int unix_mode = 0666;                      // of the socket file
  std::chrono::milliseconds header_time_max = std::chrono::seconds(5);  // from the first byte, or from the connecting
  std::chrono::milliseconds body_time_max = std::chrono::seconds(30);
  LineTimes line;                            // of WebSockets
  /// Called for every WebSocket upgrade to this path; empty: upgrades are refused with 404.
  std::map<std::string, UpgradeHandler> websockets;
};

class Server {
 public:
  virtual ~Server() = default;
  /// Where it really listens: the port that was free when 0 was asked for.
  virtual Endpoint endpoint() const = 0;
  /// Stops listening and closes all connections. Also done by the destructor (loop's thread, or after the loop has ended), and after
  /// the destructor no handler of the server's connections is called any more.
  virtual void close() = 0;
};

/// Listens at once. Throws NetError (port in use, no permission, path too long). A stale Unix socket file that nobody answers is
/// replaced; one that somebody answers is "in use".
std::unique_ptr<Server> listen(Loop& loop, const Endpoint& endpoint, Handler handler, ServerOptions options = {});

/// One request, blocking, on a connection of its own. Throws NetError. `timeout` covers everything.
Response fetch(const Endpoint& endpoint, const Request& request, std::chrono::milliseconds timeout = std::chrono::seconds(30));
/// As `fetch` but hands over the body piece by piece as it comes, until the server ends it, `on_piece` returns false, or `interrupt_fd` (a pipe
/// or eventfd, -1 = none; not read from) can be read; interrupted before there was a status, it is 0. A status that is not 2xx comes back with its whole body and no piece is delivered.
Response fetch_stream(const Endpoint& endpoint, const Request& request, std::function<bool(std::string_view)> on_piece, int interrupt_fd = -1);

}  // namespace ultramarine::net
