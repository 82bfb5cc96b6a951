// See gangs.h.
#include "scheduler/core/gangs.h"

#include <algorithm>

#include "scheduler/core/lifecycle.h"
#include "scheduler/model/gang_shape.h"

namespace ultramarine::core {
namespace {

/// Of the whole attempt, nodes without a rank included.
std::vector<std::int64_t> ranks_over_attempt(const Job& job, const Attempt& attempt, std::int64_t number) {
  const Gang* gang = find_gang(attempt, number);
  const bool says_itself = gang && gang->spec && (gang->spec->ranks > 0 || gang->spec->ranks_per_node > 0);
  return says_itself ? ranks_on_nodes(attempt.allocation, gang->spec->ranks, gang->spec->ranks_per_node)
                     : ranks_on_nodes(attempt.allocation, job.spec.ranks, job.spec.ranks_per_node);
}

bool is_script(const Job& job, std::int64_t gang) { return gang == 1 && job.spec.script.has_value(); }

}  // namespace

const Gang* find_gang(const Attempt& attempt, std::int64_t number) {
  const auto gang = std::find_if(attempt.gangs.begin(), attempt.gangs.end(), [&](const Gang& g) { return g.gang == number; });
  return gang == attempt.gangs.end() ? nullptr : &*gang;
}

std::vector<std::int64_t> gangs_of(const Attempt& attempt) {
  std::vector<std::int64_t> numbers{1};
  for (const Gang& gang : attempt.gangs)
    if (gang.gang > 1) numbers.push_back(gang.gang);
  return numbers;
}

Allocation gang_allocation(const Job& job, const Attempt& attempt, std::int64_t gang) {
  if (attempt.allocation.empty()) return {};
  if (is_script(job, gang)) return {attempt.allocation.front()};
  const std::vector<std::int64_t> ranks = ranks_over_attempt(job, attempt, gang);
  Allocation allocation;
  for (std::size_t node = 0; node < ranks.size(); ++node)
    if (ranks[node] > 0) allocation.push_back(attempt.allocation[node]);
  return allocation;
}

std::vector<std::int64_t> gang_ranks(const Job& job, const Attempt& attempt, std::int64_t gang) {
  if (attempt.allocation.empty()) return {};
  if (is_script(job, gang)) return {1};
  std::vector<std::int64_t> ranks = ranks_over_attempt(job, attempt, gang);
  std::erase(ranks, 0);
  return ranks;
}

bool takes_gangs(const Job& job) {
  if (!job.spec.script || !is_active(job.state) || job.stop_cause != StopCause::none) return false;
  const Gang* script = find_gang(job.attempts.back(), 1);
  return !script || (!script->finished_ms && !script->outcome);
}

std::int64_t next_gang(const Attempt& attempt) { return gangs_of(attempt).back() + 1; }

bool is_being_stopped(const Job& job, const Attempt& attempt, std::int64_t number) {
  if (job.stop_cause != StopCause::none) return true;
  if (number == 1) return false;
  const Gang* gang = find_gang(attempt, number);
  const Gang* script = find_gang(attempt, 1);
  return (gang && (gang->stop_requested || gang->outcome)) || (script && script->finished_ms);
}

bool is_open_gang(const State& state, const GangKey& key) {
  const auto job = state.jobs.find(key.job);
  const Attempt* attempt = job == state.jobs.end() ? nullptr : open_attempt(job->second);
  if (!attempt || attempt->attempt != key.attempt) return false;
  const Gang* gang = find_gang(*attempt, key.gang);
  return gang ? !gang->finished_ms : key.gang == 1;
}

}  // namespace ultramarine::core
