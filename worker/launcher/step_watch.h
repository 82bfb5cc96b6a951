// How one node's part of a gang gets on, from what its ranks say of themselves: when it would count as hanging. Only who reports steps is judged, and
// only as long as the process that reported them lives: a rank may well train first and do something else then. A phase that a rank declares lasts
// as long as it says. Pure: the time comes in as an argument.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "scheduler/model/cluster.h"
#include "scheduler/model/gang_report.h"
#include "scheduler/protocol/progress_messages.h"

namespace ultramarine::launcher {

class StepWatch {
 public:
  using Moment = std::chrono::steady_clock::time_point;

  StepWatch(HangConfig settings, std::set<std::int64_t> ranks);

  /// What a rank said, and which process sent it (0: not known). True when it is a sign of progress: another step, another count of collectives,
  /// a phase, a checkpoint.
  bool take(Moment now, const protocol::ProgressMessage& message, std::int64_t sender);
  /// Time in which nobody here got to run counts as nobody's silence.
  void forgive(std::chrono::milliseconds lost);

  /// A rank waits for somebody who is no rank: its time begins anew.
  void still_waits(Moment now) { last_sign_ = now; }

  /// Processes whose steps count; who finds that one has ended says so.
  std::set<std::int64_t> senders() const;
  void sender_ended(std::int64_t sender);

  /// A rank has reported two different steps, and what reported them lives.
  bool watched() const;
  /// max(after, steps x what a step took lately): of the rank that takes longest, by the median of its last reports.
  std::chrono::milliseconds limit() const;
  std::optional<Moment> last_sign() const { return last_sign_; }
  /// When nothing speaks against a hang any more: beyond the limit and all declared phases. Without any sign so far: the beginning of time.
  Moment deadline() const;
  /// Fills in what this rank has reported.
  void describe(RankStillness& rank) const;

 private:
  /// A count that only ever changes when something has been done.
  struct Counter {
    std::optional<std::int64_t> newest;
    std::deque<std::int64_t> strides;
    bool take(std::int64_t count);
    std::int64_t stride() const;
  };
  struct Rank {
    Counter steps, collectives;
    std::optional<Moment> last_step;
    std::deque<std::chrono::milliseconds> intervals;  // between its reports of steps
    std::int64_t sender = 0;
    std::optional<Moment> phase_ends;
  };

  bool on(Moment now, Rank& rank, const protocol::StepProgress& step, std::int64_t sender);
  bool on(Moment now, Rank& rank, const protocol::PhaseProgress& phase, std::int64_t sender);
  bool on(Moment now, Rank& rank, const protocol::CollectiveProgress& collective, std::int64_t sender);
  bool on(Moment now, Rank& rank, const protocol::CheckpointProgress& checkpoint, std::int64_t sender);

  const HangConfig settings_;
  const std::set<std::int64_t> known_;
  std::map<std::int64_t, Rank> ranks_;  // -1: of all who gave a number that isn't of this node
  std::optional<Moment> last_sign_;
};

}  // namespace ultramarine::launcher
