// Tells the node how training goes, through the datagram socket that ULTRA_PROGRESS names. A lost message is harmless
// and a missing listener is no error: training never waits for it, but for the last word of a rank and for a
// checkpoint's answer.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "collectives/communicator.h"

namespace ultramarine::trainer {

class ProgressReporter {
 public:
  /// `path` as in ULTRA_PROGRESS; empty = nobody listens, every call does nothing.
  ProgressReporter(std::string path, std::int64_t rank);
  ~ProgressReporter();
  ProgressReporter(const ProgressReporter&) = delete;
  ProgressReporter& operator=(const ProgressReporter&) = delete;

  /// At most ten a second, but every one with `last`. `flops_per_token`: of the model, forward and backward.
  void step(std::int64_t step, double loss, double tokens_per_s, std::int64_t tokens, double flops_per_token,
            bool last);
  /// What this rank's communicator has counted. At most one a second, but every one with `last`, which may wait up to 2
  /// s for room.
  void collectives(const collectives::Counters& counters, bool last);
  /// A stretch without steps begins, of `limit` at most.
  void phase(const std::string& name, std::chrono::milliseconds limit);
  void end_phase() { phase("", std::chrono::milliseconds(0)); }
  void checkpoint(std::int64_t step, const std::string& path);
  /// True once for each checkpoint message that was answered with "recorded"; waits up to `patience` for an outstanding
  /// answer.
  bool recorded(std::chrono::milliseconds patience = std::chrono::milliseconds(0));

 private:
  using Clock = std::chrono::steady_clock;
  bool due(Clock::time_point& next, std::chrono::milliseconds interval, bool always);
  template <class Message>
  bool send(const Message& message, bool important);

  std::string path_;
  std::int64_t rank_;
  int socket_ = -1;
  int directory_ = -1;  // holds the socket's folder when its path is too long for an address
  std::int64_t unanswered_ = 0;
  Clock::time_point next_step_{}, next_collectives_{};
};

}  // namespace ultramarine::trainer
