// Where to listen or connect: a Unix socket or a TCP address.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace ultramarine::net {

struct Endpoint {
  std::string path;        // Unix socket; then host and port are unused
  std::string host;        // name or address
  std::uint16_t port = 0;  // 0 when listening: any free port

  bool is_unix() const { return !path.empty(); }
  /// unix:/path or host:port ([v6]:port for IPv6).
  std::string text() const;
};

/// `unix:/path`, `/path`, `host:port`, `[v6]:port`. nullopt when malformed.
std::optional<Endpoint> parse_endpoint(std::string_view text);
/// 127.0.0.0/8, ::1 or localhost. Unix sockets too.
bool is_loopback(const Endpoint& endpoint);
/// The longest path that a Unix socket can have on this system, in bytes (107 on Linux).
constexpr std::size_t unix_path_max = 107;

/// The other end of a connection. `uid`, `gid`, `pid` come from the kernel (SO_PEERCRED) and only for Unix sockets.
struct Peer {
  bool is_unix = false;
  std::int64_t uid = -1;
  std::int64_t gid = -1;
  std::int64_t pid = -1;
  std::string address;  // host:port for TCP
};

/// Something on the network went wrong: can't listen, can't connect, cut off. `what` is one line without remedy.
struct NetError : std::runtime_error {
  using std::runtime_error::runtime_error;
  NetError(const std::string& what, int number) : std::runtime_error(what), error_number(number) {}
  int error_number = 0;  // errno where there was one: EADDRINUSE, EACCES, ECONNREFUSED, ENOENT, ETIMEDOUT ...
};

}  // namespace ultramarine::net
