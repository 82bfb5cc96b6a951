// When a loop over the queue may end: who of those behind may still start now, told by the shortest stay of each kind alone. What is planned later
// only fills the calendar up, so a kind whose shortest stay finds no devices now finds none any more.
#pragma once

#include <vector>

#include "scheduler/core/roster.h"
#include "scheduler/core/timeline.h"

namespace ultramarine::core {

class Prospects {
 public:
  /// Of a queue in order. Both arguments must outlive it. O(queue).
  Prospects(const std::vector<Candidate>& queued, const std::vector<Kind>& kinds);

  /// Whether somebody from the `next` place on may find devices now. Asked for each place in turn, from 0 on. `has_less`: less is free now than when
  /// it was last asked.
  bool are_left(std::size_t next, const Timeline& timeline, Time now, bool has_less);

 private:
  bool may_start(std::size_t kind, const Timeline& timeline, Time now) const;

  const std::vector<Candidate>& queued_;
  const std::vector<Kind>& kinds_;
  std::vector<Duration> shortest_;         // by kind: of the jobs from the next one on; `unbounded` when there is none
  std::vector<Duration> shortest_behind_;  // by place: of the jobs of its kind behind it
  std::size_t hopeful_ = 0;                // a kind that may start
};

}  // namespace ultramarine::core
