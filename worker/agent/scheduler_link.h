// The agent's line to the scheduler: connects, proves the cluster secret and, whenever the line is lost, tries again for ever. A dead
// scheduler kills nothing. Knows no messages: text goes in and out.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>

#include "scheduler/net/endpoint.h"
#include "scheduler/net/loop.h"
#include "scheduler/net/websocket.h"

namespace ultramarine::agent {

inline constexpr const char* agents_path = "/v1/agents";
/// Both sides name it in their proofs (net/proof.h).
inline constexpr const char* agents_proof_context = "ultramarine agents 1";

/// Pauses between two tries: doubled from `shortest` to `longest`, each cut by a random share of up to a half.
struct Backoff {
  std::chrono::milliseconds shortest{100};
  std::chrono::milliseconds longest{1500};
};

class SchedulerLink {
 public:
  /// Called on the loop's thread. `on_open` and `on_lost` alternate; a try that fails before it is open ends in `on_failed`.
  struct Handlers {
    std::function<void()> on_open;
    std::function<void(std::string_view)> on_message;
    std::function<void(const std::string& why)> on_lost;
    std::function<void(const std::string& why)> on_failed;
  };
  SchedulerLink(net::Loop& loop, net::Endpoint scheduler, std::string secret, Handlers handlers, Backoff backoff = {}, net::LineTimes times = {});
  ~SchedulerLink();

  void start();
  /// Ignored while the line is lost.
  void send(std::string message);
  std::size_t queued_bytes() const;
  /// The scheduler took us in: the next pause is the shortest again.
  void settled() { failures_ = 0; }
  /// Drops the line and tries again.
  void drop(const std::string& why);

 private:
  void connect();
  void prove(std::shared_ptr<net::Connection> connection);
  void opened(std::shared_ptr<net::Connection> connection);
  void try_again();

  net::Loop& loop_;
  const net::Endpoint scheduler_;
  const std::string secret_;
  const Handlers handlers_;
  const Backoff backoff_;
  const net::LineTimes times_;
  std::shared_ptr<net::Connection> connection_;  // while open
  std::unique_ptr<net::Loop::Timer> timer_;
  int failures_ = 0;  // since the line was last settled
  std::minstd_rand random_;
  // Handlers that outlive the link, or a line that was dropped, find their copy expired.
  std::shared_ptr<int> line_;
};

}  // namespace ultramarine::agent
