// What the net room's tests share: a loop in the background, a folder of their own, and a client that speaks raw bytes, as only a
// broken or hostile client would.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <thread>

#include "scheduler/net/http.h"
#include "scheduler/net/loop.h"

namespace ultramarine::net {

using namespace std::chrono_literals;

constexpr auto test_patience = 30s;

/// Runs the loop until a handler stops it; a test that would hang fails instead.
inline void run_until_stopped(Loop& loop) {
  bool timed_out = false;
  const auto guard = loop.after(test_patience, [&] {
    timed_out = true;
    loop.stop();
  });
  loop.run();
  ASSERT_FALSE(timed_out) << "nobody stopped the loop";
}

/// A folder that is removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ultramarine-net-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = pattern;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

/// Declare it before the server whose handlers write to it.
struct Pipe {
  Pipe() { EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0); }
  ~Pipe() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  void put(char c) const { EXPECT_EQ(::write(ends[1], &c, 1), 1); }
  int ends[2] = {-1, -1};
};

/// A loop that another thread runs, as in a program that blocks in `fetch` itself.
class BackgroundLoop {
 public:
  BackgroundLoop() : thread_([this] { loop_.run(); }) {}
  ~BackgroundLoop() { end(); }
  Loop& loop() { return loop_; }
  /// Runs `work` on the loop's thread and waits for it.
  void on_loop(std::function<void()> work) {
    std::promise<void> done;
    loop_.post([&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }
  void end() {
    if (!thread_.joinable()) return;
    loop_.stop();
    thread_.join();
  }

 private:
  Loop loop_;
  std::thread thread_;
};

/// A server in the background. Its handler may be replaced by the tests that derive from it.
class BackgroundServer {
 public:
  explicit BackgroundServer(const Endpoint& where, Handler handler, ServerOptions options = {}) {
    background_.on_loop([&] { server_ = listen(background_.loop(), where, std::move(handler), std::move(options)); });
  }
  ~BackgroundServer() {
    background_.on_loop([&] { server_.reset(); });
  }
  Endpoint endpoint() const { return server_->endpoint(); }
  BackgroundLoop& background() { return background_; }
  Loop& loop() { return background_.loop(); }

 private:
  BackgroundLoop background_;
  std::unique_ptr<Server> server_;
};

inline const Endpoint any_port{.path = "", .host = "127.0.0.1", .port = 0};

inline Request get(const std::string& path) {
  Request request;
  request.method = "GET";
  request.path = path;
  return request;
}

inline Request post(const std::string& path, std::string body) {
  Request request;
  request.method = "POST";
  request.path = path;
  request.body = std::move(body);
  return request;
}

/// A blocking socket.
class RawClient {
 public:
  explicit RawClient(const Endpoint& endpoint) {
    if (endpoint.is_unix()) {
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      std::strncpy(address.sun_path, endpoint.path.c_str(), sizeof(address.sun_path) - 1);
      fd_ = ::socket(AF_UNIX, SOCK_STREAM, 0);
      connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
    } else {
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(endpoint.port);
      ::inet_pton(AF_INET, endpoint.host.c_str(), &address.sin_addr);
      fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
      connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
    }
  }
  ~RawClient() { close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool connected() const { return connected_; }
  bool send(std::string_view text) {
    while (!text.empty()) {
      const auto sent = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  /// Everything until the other side closes; nullopt when it doesn't.
  std::optional<std::string> read_to_end() {
    std::string text;
    while (const auto piece = read_some()) {
      if (piece->empty()) return text;
      text += *piece;
    }
    return std::nullopt;
  }
  /// Until `text` holds `ending`; what was read so far when the other side closes first.
  std::string read_until(std::string_view ending) {
    std::string text;
    while (text.find(ending) == std::string::npos) {
      const auto piece = read_some();
      if (!piece || piece->empty()) break;
      text += *piece;
    }
    return text;
  }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  std::optional<std::string> read_some() {
    pollfd entry{.fd = fd_, .events = POLLIN, .revents = 0};
    if (::poll(&entry, 1, 30'000) != 1) return std::nullopt;
    std::string buffer(64 << 10, '\0');
    const auto length = ::recv(fd_, buffer.data(), buffer.size(), 0);
    buffer.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
    return buffer;
  }

  int fd_ = -1;
  bool connected_ = false;
};

/// The errno of the NetError that `action` throws; 0 for one without, -1 when none is thrown.
inline int net_error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const NetError& error) {
    return error.error_number;
  }
  return -1;
}

}  // namespace ultramarine::net
