// A WebSocket connection: whole text messages, both ways, with pings. std-only interface over Beast.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "scheduler/net/endpoint.h"
#include "scheduler/net/loop.h"

namespace ultramarine::net {

/// How long the other side of a line may take.
struct LineTimes {
  std::chrono::milliseconds open{10'000};           // to take the connection and the upgrade, and to answer a close
  std::chrono::milliseconds silence{30'000};        // without any word; it is pinged after half of it
  std::chrono::milliseconds unacknowledged{5'000};  // for its machine to confirm what was sent (TCP_USER_TIMEOUT)
};

class Connection {
 public:
  virtual ~Connection() = default;
  /// Queues a message. From any thread. Ignored once closed. Over 64 MiB queued closes the connection.
  virtual void send(std::string message) = 0;
  /// Bytes that were queued and not yet handed to the kernel: who sends something long waits while they are many. From any thread.
  virtual std::size_t queued_bytes() const { return 0; }
  /// Closes after what is queued was sent. From any thread.
  virtual void close() = 0;
  /// Loop's thread. Set them in the handler that got the connection; messages that come earlier are kept for the handler.
  virtual void on_message(std::function<void(std::string_view)> handler) = 0;
  /// Called once, with why: "" after a normal close from either side.
  virtual void on_closed(std::function<void(const std::string& why)> handler) = 0;
  virtual const Peer& peer() const = 0;
};

/// Connects and upgrades; calls exactly one of the two on the loop's thread.
void connect(Loop& loop, const Endpoint& endpoint, const std::string& path, std::function<void(std::shared_ptr<Connection>)> on_open,
             std::function<void(const NetError&)> on_error, LineTimes times = {});

}  // namespace ultramarine::net
