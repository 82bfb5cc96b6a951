// See gangs.h.
#include "scheduler/core/gangs.h"

#include <algorithm>

#include "scheduler/core/lifecycle.h"
#include "scheduler/model/gang_shape.h"

namespace ultramarine::core {
namespace {

/// The nodes that a gang may use, those without a rank included.
Allocation nodes_for(const Attempt& attempt, std::int64_t number) {
  const Gang* gang = find_gang(attempt, number);
  return gang && gang->spec ? nodes_of_gang(*gang->spec, attempt.allocation) : attempt.allocation;
}

std::vector<std::int64_t> ranks_over(const Allocation& nodes, const RankNumbers& numbers) { return ranks_on_nodes(nodes, numbers.ranks, numbers.ranks_per_node); }

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
  const Allocation nodes = nodes_for(attempt, gang);
  const std::vector<std::int64_t> ranks = ranks_over(nodes, rank_numbers(job, attempt, gang));
  Allocation allocation;
  for (std::size_t node = 0; node < ranks.size(); ++node)
    if (ranks[node] > 0) allocation.push_back(nodes[node]);
  return allocation;
}

Allocation nodes_of_gang(const GangSpec& spec, const Allocation& attempt) {
  Allocation nodes = attempt;
  if (!spec.only_nodes.empty())
    std::erase_if(nodes, [&](const NodeAllocation& part) { return std::find(spec.only_nodes.begin(), spec.only_nodes.end(), part.node) == spec.only_nodes.end(); });
  if (spec.nodes > 0 && spec.nodes < static_cast<std::int64_t>(nodes.size())) nodes.resize(static_cast<std::size_t>(spec.nodes));
  return nodes;
}

RankNumbers rank_numbers(const Job& job, const Attempt& attempt, std::int64_t number) {
  const RankNumbers of_job{job.spec.ranks, job.spec.ranks_per_node};
  const Gang* gang = find_gang(attempt, number);
  if (!gang || !gang->spec) return of_job;
  if (gang->spec->ranks > 0 || gang->spec->ranks_per_node > 0) return {gang->spec->ranks, gang->spec->ranks_per_node};
  const Allocation nodes = nodes_of_gang(*gang->spec, attempt.allocation);
  if (of_job.ranks == 0 || nodes.size() == attempt.allocation.size()) return of_job;
  const std::vector<std::int64_t> all = ranks_over(attempt.allocation, of_job);
  RankNumbers numbers;
  for (std::size_t i = 0; i < all.size(); ++i)
    if (std::find(nodes.begin(), nodes.end(), attempt.allocation[i]) != nodes.end()) numbers.ranks += all[i];
  return numbers.ranks > 0 ? numbers : of_job;
}

std::vector<std::int64_t> gang_ranks(const Job& job, const Attempt& attempt, std::int64_t gang) {
  if (attempt.allocation.empty()) return {};
  if (is_script(job, gang)) return {1};
  std::vector<std::int64_t> ranks = ranks_over(nodes_for(attempt, gang), rank_numbers(job, attempt, gang));
  std::erase(ranks, 0);
  return ranks;
}

bool takes_gangs(const Job& job, bool beside_ranks) {
  if (!job.spec.script && !beside_ranks) return false;
  if (!is_active(job.state) || job.stop_cause != StopCause::none) return false;
  const Gang* first = find_gang(job.attempts.back(), 1);
  if (!first) return job.spec.script.has_value();
  return (job.spec.script || first->started_ms) && !first->finished_ms && !first->outcome;
}

std::int64_t next_gang(const Attempt& attempt) { return gangs_of(attempt).back() + 1; }

bool is_being_stopped(const Job& job, const Attempt& attempt, std::int64_t number) {
  if (job.stop_cause != StopCause::none) return true;
  if (number == 1) return false;
  const Gang* gang = find_gang(attempt, number);
  const Gang* script = find_gang(attempt, 1);
  return (gang && (gang->stop_requested || gang->outcome)) || (script && script->finished_ms);
}

Duration stop_grace(const TimeoutsConfig& timeouts, const Job& job, const Attempt& attempt, std::int64_t number) {
  const Gang* gang = find_gang(attempt, number);
  const Gang* first = find_gang(attempt, 1);
  for (const Gang* failed : {gang, first}) {
    if (!failed || !failed->failure || failed->outcome == Outcome::timed_out) continue;
    return std::min(job.spec.stop_grace_ms, failed->outcome == Outcome::node_lost ? timeouts.cut_off_grace_ms : timeouts.failure_grace_ms);
  }
  return job.spec.stop_grace_ms;
}

std::int64_t checkpoint_signal(const Job& job) {
  const bool runs_again = job.stop_cause == StopCause::requeued || job.stop_cause == StopCause::preempted;
  return runs_again && job.spec.warning ? job.spec.warning->signal : 0;
}

bool is_open_gang(const State& state, const GangKey& key) {
  const auto job = state.jobs.find(key.job);
  const Attempt* attempt = job == state.jobs.end() ? nullptr : open_attempt(job->second);
  if (!attempt || attempt->attempt != key.attempt) return false;
  const Gang* gang = find_gang(*attempt, key.gang);
  return gang ? !gang->finished_ms : key.gang == 1;
}

}  // namespace ultramarine::core
