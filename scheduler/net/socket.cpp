#include "scheduler/net/socket.h"

#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/error.hpp>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "scheduler/net/listening_socket.h"

namespace ultramarine::net {

std::string describe(const error_code& error) {
  if (error == asio::error::eof) return "the other side closed the connection";
  if (error == beast::error::timeout) return "timed out";
  return error.message();
}

NetError net_error(const std::string& verb, const Endpoint& endpoint, const error_code& error) {
  const bool is_errno = error.category() == boost::system::system_category() || error.category() == boost::system::generic_category();
  const int number = error == beast::error::timeout ? ETIMEDOUT : is_errno ? error.value() : 0;
  return NetError("can't " + verb + " " + endpoint.text() + ": " + describe(error), number);
}

namespace {

error_code last_error() { return {errno, boost::system::system_category()}; }

union SocketAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
  sockaddr_un local;
};

bool set_path(SocketAddress& address, const std::string& path) {
  static_assert(sizeof(sockaddr_un::sun_path) == unix_path_max + 1);
  if (path.size() > unix_path_max) return false;
  address = {};
  address.local.sun_family = AF_UNIX;
  std::memcpy(address.local.sun_path, path.c_str(), path.size() + 1);
  return true;
}

FileDescriptor open_socket(int family) { return FileDescriptor(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)); }

struct Resolved {
  error_code error;
  std::vector<Tcp::endpoint> addresses;
};

// Blocking.
Resolved resolve_now(const Endpoint& endpoint) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int failure = ::getaddrinfo(endpoint.host.c_str(), std::to_string(endpoint.port).c_str(), &hints, &list);
  Resolved resolved;
  if (failure == EAI_SYSTEM) {
    resolved.error = last_error();
  } else if (failure == EAI_AGAIN) {
    resolved.error = asio::error::host_not_found_try_again;
  } else if (failure != 0) {
    resolved.error = asio::error::host_not_found;
  }
  for (const addrinfo* one = list; one != nullptr; one = one->ai_next) {
    Tcp::endpoint address;
    if (one->ai_addrlen > address.capacity()) continue;
    std::memcpy(address.data(), one->ai_addr, one->ai_addrlen);
    address.resize(one->ai_addrlen);
    resolved.addresses.push_back(address);
  }
  if (list != nullptr) ::freeaddrinfo(list);
  if (resolved.addresses.empty() && !resolved.error) resolved.error = asio::error::host_not_found;
  return resolved;
}

// False with errno.
bool bind_and_listen(int fd, const sockaddr* address, socklen_t length, const Endpoint& endpoint, int unix_mode) {
  if (::bind(fd, address, length) != 0) return false;
  // The mode is set before anybody can connect.
  const bool has_mode = !endpoint.is_unix() || ::chmod(endpoint.path.c_str(), static_cast<mode_t>(unix_mode)) == 0;
  if (has_mode && ::listen(fd, 4096) == 0) return true;
  const int number = errno;
  if (endpoint.is_unix()) ::unlink(endpoint.path.c_str());
  errno = number;
  return false;
}

// A socket file that refuses connections belongs to nobody: its process ended without removing it.
bool remove_if_stale(const std::string& path, const SocketAddress& address) {
  struct stat before {};
  if (::lstat(path.c_str(), &before) != 0) return errno == ENOENT;
  if (!S_ISSOCK(before.st_mode)) return false;
  const FileDescriptor probe = open_socket(AF_UNIX);
  if (!probe || ::connect(probe.get(), &address.any, sizeof(address.local)) == 0 || errno != ECONNREFUSED) return false;
  struct stat after {};
  if (::lstat(path.c_str(), &after) != 0) return errno == ENOENT;
  if (after.st_ino != before.st_ino || after.st_dev != before.st_dev) return false;
  return ::unlink(path.c_str()) == 0 || errno == ENOENT;
}

FileDescriptor listen_on_unix(const Endpoint& endpoint, int unix_mode) {
  SocketAddress address{};
  if (!set_path(address, endpoint.path)) {
    throw NetError("can't listen on " + endpoint.text() + ": a socket's path has at most " + std::to_string(unix_path_max) + " bytes, this has " +
                     std::to_string(endpoint.path.size()), ENAMETOOLONG);
  }
  for (bool may_replace = true;; may_replace = false) {
    FileDescriptor fd = open_socket(AF_UNIX);
    if (fd && bind_and_listen(fd.get(), &address.any, sizeof(address.local), endpoint, unix_mode)) return fd;
    const error_code error = last_error();
    if (error.value() != EADDRINUSE || !may_replace || !remove_if_stale(endpoint.path, address)) throw net_error("listen on", endpoint, error);
  }
}

}  // namespace

FileDescriptor listen_on(const Endpoint& endpoint, int unix_mode, Endpoint& actual) {
  actual = endpoint;
  if (endpoint.is_unix()) return listen_on_unix(endpoint, unix_mode);

  const Resolved resolved = resolve_now(endpoint);
  if (resolved.error) throw net_error("listen on", endpoint, resolved.error);
  const Tcp::endpoint& address = resolved.addresses.front();
  FileDescriptor fd = open_socket(address.data()->sa_family);
  const int on = 1;
  if (!fd || ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      !bind_and_listen(fd.get(), address.data(), static_cast<socklen_t>(address.size()), endpoint, 0)) {
    throw net_error("listen on", endpoint, last_error());
  }
  Tcp::endpoint bound;
  auto length = static_cast<socklen_t>(bound.capacity());
  if (::getsockname(fd.get(), bound.data(), &length) != 0) throw net_error("listen on", endpoint, last_error());
  actual.port = bound.port();
  return fd;
}

FileDescriptor listening_socket(const std::string& path, int unix_mode) { return listen_on_unix({.path = path}, unix_mode); }

SocketFile::SocketFile(const std::string& path) : path_(path) {
  struct stat file {};
  if (!path_.empty() && ::lstat(path_.c_str(), &file) == 0) {
    device_ = file.st_dev;
    inode_ = file.st_ino;
  }
}

void SocketFile::remove() {
  struct stat file {};
  if (path_.empty() || ::lstat(path_.c_str(), &file) != 0) return;
  if (file.st_dev == device_ && file.st_ino == inode_) ::unlink(path_.c_str());
  path_.clear();
}

Peer unix_peer_of(int fd) {
  Peer peer;
  peer.is_unix = true;
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return peer;
  peer.uid = credentials.uid;
  peer.gid = credentials.gid;
  peer.pid = credentials.pid;
  return peer;
}

int family_of(int fd) {
  SocketAddress address{};
  socklen_t length = sizeof(address);
  ::getsockname(fd, &address.any, &length);
  return address.any.sa_family;
}

namespace {

// Small messages both ways, and silent machines that are gone for good.
void set_tcp_options(int fd) {
  const int on = 1;
  const int idle_s = 3;
  const int interval_s = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
  set_unacknowledged_max(fd, LineTimes{}.unacknowledged);
}

}  // namespace

void set_unacknowledged_max(int fd, std::chrono::milliseconds length) {
  const auto unacknowledged_ms = static_cast<unsigned>(length.count());
  ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms, sizeof unacknowledged_ms);
}

Accepted accept_from(int listening_fd, bool is_unix, FileDescriptor& client, Peer& peer) {
  for (;;) {
    Tcp::endpoint from;
    auto length = static_cast<socklen_t>(from.capacity());
    FileDescriptor fd(::accept4(listening_fd, is_unix ? nullptr : from.data(), is_unix ? nullptr : &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return Accepted::none_waiting;
      // This client is gone already: accept(2) passes on the errors of its connection.
      constexpr int of_the_client[] = {EINTR,    ECONNABORTED, EPROTO,       ENETDOWN,   ENOPROTOOPT, EHOSTDOWN,
                                       ENONET,   EHOSTUNREACH, ENETUNREACH,  EOPNOTSUPP, EPERM};
      if (std::find(std::begin(of_the_client), std::end(of_the_client), errno) != std::end(of_the_client)) continue;
      return Accepted::trouble;
    }
    if (is_unix) {
      peer = unix_peer_of(fd.get());
      if (peer.uid < 0) continue;
    } else {
      set_tcp_options(fd.get());
      from.resize(length);
      peer = Peer{};
      peer.address = Endpoint{.path = "", .host = from.address().to_string(), .port = from.port()}.text();
    }
    client = std::move(fd);
    return Accepted::connection;
  }
}

namespace {

// Tries one address after the other.
template <class Stream>
struct Attempt : std::enable_shared_from_this<Attempt<Stream>> {
  using Protocol = typename Stream::protocol_type;

  Attempt(std::shared_ptr<Context> its_context, Stream& its_stream) : context(std::move(its_context)), stream(its_stream), retry_timer(*context) {}

  void next(error_code last) {
    if (*given_up) return finish(asio::error::operation_aborted);
    if (index == addresses.size()) return finish(last);
    const auto& address = addresses[index];
    error_code error;
    FileDescriptor fd = open_socket(address.data()->sa_family);
    if (!fd) return finish(last_error());
    if constexpr (std::is_same_v<Protocol, Tcp>) set_tcp_options(fd.get());
    if (stream.socket().is_open()) stream.socket().close(error);
    stream.socket().assign(address.protocol(), fd.get(), error);
    if (error) return finish(error);
    fd.release();
    stream.socket().async_connect(address, [self = this->shared_from_this()](error_code connect_error) {
      if (!connect_error) return self->finish(connect_error);
      if (self->is_unix && connect_error == asio::error::no_buffer_space) return self->wait_and_retry();
      ++self->index;
      self->next(connect_error);
    });
  }

  // The listener's queue of a Unix socket is full: the kernel offers no way to wait for a place.
  void wait_and_retry() {
    retry_timer.expires_after(std::chrono::milliseconds(10));
    retry_timer.async_wait([self = this->shared_from_this()](error_code error) { self->next(error); });
  }

  void finish(error_code error) { std::exchange(done, nullptr)(error); }

  std::shared_ptr<Context> context;
  Stream& stream;
  asio::steady_timer retry_timer;
  bool is_unix = false;
  std::vector<typename Protocol::endpoint> addresses;
  std::size_t index = 0;
  std::shared_ptr<void> keep;
  std::shared_ptr<const bool> given_up;
  std::function<void(error_code)> done;
};

}  // namespace

template <class Stream>
void connect_stream(std::shared_ptr<Context> context, Stream& stream, const Endpoint& endpoint, std::shared_ptr<void> keep,
                    std::shared_ptr<const bool> given_up, std::function<void(error_code)> done) {
  auto attempt = std::make_shared<Attempt<Stream>>(context, stream);
  attempt->is_unix = endpoint.is_unix();
  attempt->keep = std::move(keep);
  attempt->given_up = std::move(given_up);
  attempt->done = std::move(done);
  if constexpr (std::is_same_v<Stream, UnixStream>) {
    if (endpoint.path.size() > unix_path_max) {
      context->post([attempt] { attempt->finish(boost::system::errc::make_error_code(boost::system::errc::filename_too_long)); });
      return;
    }
    attempt->addresses.emplace_back(endpoint.path);
    context->post([attempt] { attempt->next({}); });
  } else {
    error_code not_an_address;
    const auto address = asio::ip::make_address(endpoint.host, not_an_address);
    if (!not_an_address) {
      attempt->addresses.emplace_back(address, endpoint.port);
      context->post([attempt] { attempt->next({}); });
      return;
    }
    // getaddrinfo can't be interrupted and may take many seconds. Its thread is left alone and its late answer dropped with the context.
    // It must not be the one that destroys the attempt, so it holds it only weakly; an endless wait on the loop keeps it.
    attempt->retry_timer.expires_at(asio::steady_timer::time_point::max());
    attempt->retry_timer.async_wait([attempt](error_code) {});
    std::thread([context, endpoint, weak = std::weak_ptr(attempt)] {
      Resolved resolved = resolve_now(endpoint);
      context->post([weak, resolved = std::move(resolved)] {
        const auto self = weak.lock();
        if (!self) return;
        self->retry_timer.cancel();
        self->addresses = resolved.addresses;
        self->next(resolved.error);
      });
    }).detach();
  }
}

template void connect_stream<TcpStream>(std::shared_ptr<Context>, TcpStream&, const Endpoint&, std::shared_ptr<void>, std::shared_ptr<const bool>,
                                        std::function<void(error_code)>);
template void connect_stream<UnixStream>(std::shared_ptr<Context>, UnixStream&, const Endpoint&, std::shared_ptr<void>,
                                         std::shared_ptr<const bool>, std::function<void(error_code)>);

}  // namespace ultramarine::net
