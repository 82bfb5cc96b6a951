// In which order jobs are planned that wait for others: as the time is to be expected when all of those have ended well. The one idea: who has got
// a place may let others' times be known, so the order is found while it is used. Knows nothing of places.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "scheduler/core/dependencies.h"
#include "scheduler/core/roster.h"

namespace ultramarine::core {

class DependentOrder {
 public:
  /// `spans`: of the jobs that run or have a planned start; it grows while the order is asked for. Both must outlive it.
  DependentOrder(const State& state, const std::vector<Candidate>& dependent, const std::map<JobId, Span>& spans);

  /// The next whose time is to be expected: its place among the dependent, and that time. nullopt: none, so far.
  std::optional<std::pair<std::size_t, Time>> next();
  /// The job has got a span.
  void know(JobId job);

 private:
  void expect(JobId group);

  const State& state_;
  const std::vector<Candidate>& dependent_;
  const std::map<JobId, Span>& spans_;
  std::map<JobId, std::vector<std::size_t>> groups_;  // elements of one array depend on the same
  std::map<JobId, std::vector<JobId>> awaiting_;      // a job without a span -> groups that are looked at again when it has one
  std::set<std::pair<Time, std::size_t>> ready_;      // when the time of dependent_[n] is to be expected
};

}  // namespace ultramarine::core
