// See calendar.h.
#include "scheduler/core/calendar.h"

#include <algorithm>

#include "scheduler/core/limits.h"

namespace ultramarine::core {
namespace {

constexpr Time beginning{std::numeric_limits<std::int64_t>::min()};

/// Sorted, and those that touch as one.
void merge(std::vector<Interval>& intervals) {
  std::sort(intervals.begin(), intervals.end(), [](const Interval& a, const Interval& b) { return a.start < b.start; });
  std::vector<Interval> merged;
  for (const Interval& one : intervals) {
    if (merged.empty() || merged.back().end < one.start) merged.push_back(one);
    else merged.back().end = std::max(merged.back().end, one.end);
  }
  intervals = std::move(merged);
}

void keep_earlier(std::optional<Time>& earliest, Time candidate, Time now) {
  if (candidate > now && (!earliest || candidate < *earliest)) earliest = candidate;
}

}  // namespace

Closures::Closures(const State& state, const std::vector<const NodeConfig*>& nodes, Time now) : node_count_(nodes.size()) {
  if (state.reservations.empty()) return;
  std::map<std::string, std::size_t> numbers;
  for (std::size_t node = 0; node < nodes.size(); ++node) numbers.emplace(nodes[node]->name, node);
  for (const auto& [name, reservation] : state.reservations) {
    if (reservation.end_ms <= now) continue;
    Kept& kept = kept_.emplace_back(Kept{&reservation, {}});
    for (const std::string& node : reservation.nodes)
      if (const auto number = numbers.find(node); number != numbers.end()) kept.nodes.push_back(number->second);
    std::sort(kept.nodes.begin(), kept.nodes.end());
  }
  std::stable_sort(kept_.begin(), kept_.end(), [](const Kept& a, const Kept& b) { return a.reservation->end_ms < b.reservation->end_ms; });
}

const std::vector<std::vector<Interval>>* Closures::closed_to(const std::string& reservation) {
  if (kept_.empty()) return nullptr;
  const auto [closed, is_new] = closed_.try_emplace(reservation);
  if (!is_new) return &closed->second;
  closed->second.resize(node_count_);
  for (const Kept& kept : kept_) {
    const Time start = kept.reservation->start_ms, end = kept.reservation->end_ms;
    const bool is_its_own = kept.reservation->name == reservation;
    for (const std::size_t node : kept.nodes) {
      auto& intervals = closed->second[node];
      if (is_its_own) intervals.insert(intervals.end(), {Interval{beginning, start}, Interval{end, forever}});
      else intervals.push_back({start, end});
    }
  }
  for (auto& intervals : closed->second) merge(intervals);
  return &closed->second;
}

bool Closures::may_use(const std::string& reservation, std::size_t node) const {
  if (reservation.empty()) return true;
  return std::any_of(kept_.begin(), kept_.end(), [&](const Kept& kept) {
    return kept.reservation->name == reservation && std::binary_search(kept.nodes.begin(), kept.nodes.end(), node);
  });
}

const Reservation* Closures::first_in_the_way(const std::vector<std::size_t>& nodes, Time start, Duration length) const {
  for (const Kept& kept : kept_) {
    if (kept.reservation->start_ms >= start + length || kept.reservation->end_ms <= start) continue;
    if (std::any_of(nodes.begin(), nodes.end(), [&](std::size_t node) { return std::binary_search(kept.nodes.begin(), kept.nodes.end(), node); }))
      return kept.reservation;
  }
  return nullptr;
}

const Reservation* reservation_of(const State& state, const Job& job) {
  const auto found = state.reservations.find(job.spec.reservation);
  if (found == state.reservations.end()) return nullptr;
  const auto& accounts = found->second.accounts;  // another reservation may have taken the name since
  return std::find(accounts.begin(), accounts.end(), job.spec.account) == accounts.end() ? nullptr : &found->second;
}

bool misses_deadline(const Job& job, Time now) { return job.spec.deadline_ms && now + job.spec.time_limit_ms > *job.spec.deadline_ms; }

std::optional<Time> not_before(const Job& job) { return std::max(job.spec.begin_ms, job.restart_ms); }

std::optional<Time> next_date(const Job& job, Time now) {
  std::optional<Time> earliest;
  if (const auto begin = not_before(job)) keep_earlier(earliest, *begin, now);
  if (job.spec.deadline_ms) keep_earlier(earliest, *job.spec.deadline_ms - job.spec.time_limit_ms + milliseconds(1), now);
  return earliest;
}

std::optional<Time> next_date(const State& state, Time now) {
  std::optional<Time> earliest;
  for (const auto& [name, reservation] : state.reservations) {
    keep_earlier(earliest, reservation.start_ms, now);
    keep_earlier(earliest, reservation.end_ms, now);
  }
  if (state.period.end_ms > now && LimitTable(state).counts_months()) keep_earlier(earliest, state.period.end_ms, now);
  return earliest;
}

}  // namespace ultramarine::core
