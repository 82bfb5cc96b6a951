#include "worker/launcher/step_watch.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace ultramarine::launcher {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t remembered = 15;  // reports of a rank; an odd number has a middle
constexpr milliseconds longest_phase{30LL * 86'400'000};

template <class T>
void remember(std::deque<T>& last, T value) {
  last.push_back(value);
  if (last.size() > remembered) last.pop_front();
}

template <class T>
T median(const std::deque<T>& values) {
  std::vector<T> sorted(values.begin(), values.end());
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2), sorted.end());
  return sorted[sorted.size() / 2];
}

}  // namespace

bool StepWatch::Counter::take(std::int64_t count) {
  if (newest == count) return false;
  // One that goes back has started anew somewhere, which is no stride.
  if (newest && count > *newest) remember(strides, count - *newest);
  newest = count;
  return true;
}

std::int64_t StepWatch::Counter::stride() const { return strides.empty() ? 1 : *std::max_element(strides.begin(), strides.end()); }

StepWatch::StepWatch(HangConfig settings, std::set<std::int64_t> ranks) : settings_(settings), known_(std::move(ranks)) {}

bool StepWatch::take(Moment now, const protocol::ProgressMessage& message, std::int64_t sender) {
  return std::visit(
      [&](const auto& said) {
        if (!on(now, ranks_[known_.contains(said.rank) ? said.rank : -1], said, sender)) return false;
        last_sign_ = now;
        return true;
      },
      message);
}

bool StepWatch::on(Moment now, Rank& rank, const protocol::StepProgress& step, std::int64_t sender) {
  const bool had_one = rank.steps.newest.has_value();
  if (!rank.steps.take(step.step)) return false;
  if (had_one && rank.last_step) remember(rank.intervals, std::chrono::duration_cast<milliseconds>(now - *rank.last_step));
  rank.last_step = now;
  rank.sender = sender;
  rank.phase_ends.reset();
  return true;
}

bool StepWatch::on(Moment now, Rank& rank, const protocol::PhaseProgress& phase, std::int64_t) {
  rank.phase_ends.reset();
  if (phase.limit_ms.ms > 0) rank.phase_ends = now + std::min(milliseconds(phase.limit_ms.ms), longest_phase);
  // What takes long without a step says nothing of how long a step takes.
  rank.last_step.reset();
  return true;
}

bool StepWatch::on(Moment, Rank& rank, const protocol::CollectiveProgress& collective, std::int64_t) {
  return rank.collectives.take(std::max(collective.count, collective.sequence));
}

bool StepWatch::on(Moment, Rank&, const protocol::CheckpointProgress&, std::int64_t) { return true; }

void StepWatch::forgive(milliseconds lost) {
  if (last_sign_) *last_sign_ += lost;
  for (auto& [number, rank] : ranks_) {
    if (rank.last_step) *rank.last_step += lost;
    if (rank.phase_ends) *rank.phase_ends += lost;
  }
}

std::set<std::int64_t> StepWatch::senders() const {
  std::set<std::int64_t> found;
  for (const auto& [number, rank] : ranks_)
    if (rank.sender > 0) found.insert(rank.sender);
  return found;
}

void StepWatch::sender_ended(std::int64_t sender) {
  for (auto& [number, rank] : ranks_) {
    if (rank.sender != sender) continue;
    rank.sender = 0;
    rank.last_step.reset();
    rank.intervals.clear();
  }
}

bool StepWatch::watched() const {
  return std::any_of(ranks_.begin(), ranks_.end(), [](const auto& entry) { return !entry.second.intervals.empty(); });
}

milliseconds StepWatch::limit() const {
  milliseconds longest{0};
  for (const auto& [number, rank] : ranks_)
    if (!rank.intervals.empty()) longest = std::max(longest, median(rank.intervals));
  return std::max(milliseconds(settings_.after_ms.ms), longest * settings_.steps);
}

StepWatch::Moment StepWatch::deadline() const {
  if (!last_sign_) return Moment::min();
  Moment deadline = *last_sign_ + limit();
  for (const auto& [number, rank] : ranks_)
    if (rank.phase_ends) deadline = std::max(deadline, *rank.phase_ends);
  return deadline;
}

void StepWatch::describe(RankStillness& rank) const {
  const auto found = ranks_.find(rank.rank);
  if (found == ranks_.end()) return;
  rank.step = found->second.steps.newest;
  rank.collective = found->second.collectives.newest;
  rank.step_stride = found->second.steps.stride();
  rank.collective_stride = found->second.collectives.stride();
}

}  // namespace ultramarine::launcher
