// See order.h.
#include "scheduler/core/order.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

namespace ultramarine::core {
namespace {

void sort_by_key(std::vector<const Job*>& jobs, const policy::JobOrder& order, Time now) {
  std::vector<std::pair<policy::OrderKey, const Job*>> keyed;
  keyed.reserve(jobs.size());
  for (const Job* job : jobs) keyed.emplace_back(place_of(order, *job, now), job);
  std::sort(keyed.begin(), keyed.end(), [](const auto& a, const auto& b) { return a.first != b.first ? a.first < b.first : a.second->job < b.second->job; });
  std::transform(keyed.begin(), keyed.end(), jobs.begin(), [](const auto& entry) { return entry.second; });
}

void take_own_turns(std::vector<const Job*>& jobs, Time now) {
  using Owner = std::tuple<std::int64_t, std::string_view, std::string_view, std::string_view, std::string_view>;
  std::map<Owner, std::vector<std::size_t>> places;
  for (std::size_t place = 0; place < jobs.size(); ++place) {
    const Job& job = *jobs[place];
    if (job.own_turn > 0 && !is_boosted(job, now)) places[{job.owner.uid, job.owner.name, job.spec.account, job.spec.partition, job.spec.qos}].push_back(place);
  }
  for (const auto& [owner, of_owner] : places) {
    std::vector<const Job*> turns;
    for (const std::size_t place : of_owner) turns.push_back(jobs[place]);
    std::stable_sort(turns.begin(), turns.end(), [](const Job* a, const Job* b) { return a->own_turn < b->own_turn; });
    for (std::size_t i = 0; i < turns.size(); ++i) jobs[of_owner[i]] = turns[i];
  }
}

}  // namespace

bool is_boosted(const Job& job, Time now) { return job.boost && now < job.boost->until_ms; }

policy::OrderKey place_of(const policy::JobOrder& order, const Job& job, Time now) {
  if (is_boosted(job, now)) return {std::numeric_limits<std::int64_t>::min(), job.boost->bill};
  return order.key(job);
}

std::vector<const Job*> in_order(const State& state, std::vector<const Job*> jobs, const policy::Policies& policies, Time now) {
  if (std::none_of(jobs.begin(), jobs.end(), [](const Job* job) { return job->own_turn > 0; })) {
    sort_by_key(jobs, *policies.order, now);
    return jobs;
  }
  // Who has left the queue keeps his place, so that the others don't move up into it and overtake somebody else.
  std::set<JobId> asked_for;
  for (const Job* job : jobs) asked_for.insert(job->job);
  for (const auto& [id, job] : state.jobs)
    if (job.own_turn > 0 && asked_for.count(id) == 0) jobs.push_back(&job);
  sort_by_key(jobs, *policies.order, now);
  take_own_turns(jobs, now);
  std::erase_if(jobs, [&](const Job* job) { return asked_for.count(job->job) == 0; });
  return jobs;
}

}  // namespace ultramarine::core
