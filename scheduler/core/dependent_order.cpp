// See dependent_order.h.
#include "scheduler/core/dependent_order.h"

namespace ultramarine::core {

DependentOrder::DependentOrder(const State& state, const std::vector<Candidate>& dependent, const std::map<JobId, Span>& spans)
    : state_(state), dependent_(dependent), spans_(spans) {
  for (std::size_t place = 0; place < dependent.size(); ++place) {
    const Job& job = *dependent[place].job;
    groups_[job.array ? job.array->array : job.job].push_back(place);
  }
  for (const auto& [group, places] : groups_) expect(group);
}

std::optional<std::pair<std::size_t, Time>> DependentOrder::next() {
  if (ready_.empty()) return std::nullopt;
  const auto [expected, place] = *ready_.begin();
  ready_.erase(ready_.begin());
  return std::pair{place, expected};
}

void DependentOrder::know(JobId job) {
  const auto known = awaiting_.extract(job);
  if (known.empty()) return;
  for (const JobId group : known.mapped()) expect(group);
}

void DependentOrder::expect(JobId group) {
  const auto& dependencies = dependent_[groups_[group].front()].job->spec.dependencies;
  const Expected expected = expect_dependencies(state_, dependencies, state_.policy.launch_allowance_ms, [&](JobId id) {
    const auto span = spans_.find(id);
    return span == spans_.end() ? std::nullopt : std::optional(span->second);
  });
  if (expected.unknown) awaiting_[*expected.unknown].push_back(group);
  if (!expected.at) return;
  for (const std::size_t place : groups_[group]) ready_.emplace(*expected.at, place);
}

}  // namespace ultramarine::core
