// See comparison.h.
#include "scheduler/core/comparison.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "scheduler/core/limits.h"
#include "scheduler/core/planner.h"
#include "scheduler/core/policy/policies.h"
#include "scheduler/core/wide.h"

namespace ultramarine::core {
namespace {

/// What each account holds in [now, now + horizon), by the plan, in GPU-milliseconds.
std::map<std::string, std::int64_t> held_in_week(const State& state, const Plan& plan, Time now) {
  const Time end = now + share_horizon;
  std::map<std::string, std::int64_t> held;
  const auto hold = [&](const Job& job, std::int64_t gpus, Time from, Time to) {
    const Duration time = std::min(to, end) - std::max(from, now);
    if (time.ms > 0) held[job.spec.account] += gpus * time.ms;
  };
  for (const auto& [id, job] : state.jobs)
    if (is_active(job.state)) hold(job, gpus_of(job.attempts.back().allocation), now, assumed_end(job, state.policy, now));
  for (const PlannedJob& line : plan.jobs)
    if (line.start_ms) {
      const Job& job = state.jobs.at(line.job);
      hold(job, gpus_of(line.allocation), *line.start_ms, *line.start_ms + longest_stay(job.spec, state.policy));
    }
  return held;
}

std::map<std::string, std::int64_t> in_permille(const std::map<std::string, std::int64_t>& held) {
  std::int64_t sum = 0;
  for (const auto& [account, gpu_ms] : held) sum += gpu_ms;
  std::map<std::string, std::int64_t> shares;
  if (sum > 0)
    for (const auto& [account, gpu_ms] : held) shares[account] = static_cast<std::int64_t>((Wide{gpu_ms} * 1000 + sum / 2) / sum);
  return shares;
}

std::vector<ShareOfWeek> shares_of(const std::map<std::string, std::int64_t>& before, const std::map<std::string, std::int64_t>& after) {
  std::map<std::string, ShareOfWeek> shares;
  for (const auto& [account, permille] : before) shares[account].before_permille = permille;
  for (const auto& [account, permille] : after) shares[account].after_permille = permille;
  std::vector<ShareOfWeek> listed;
  for (auto& [account, share] : shares) {
    share.account = account;
    listed.push_back(std::move(share));
  }
  return listed;
}

}  // namespace

bool plans_everybody(const State& state) {
  const policy::Policies policies = policy::make_policies(state, {}, {});
  return policies.backfill->plans_everybody() && !policies.preemption->ranks_running();
}

Scheduler planning_copy(const State& state) {
  Scheduler copy(state);
  if (plans_everybody(state)) return copy;
  PolicyConfig policy = state.policy;
  policy.backfill = "conservative";
  policy.preemption = "none";
  copy.apply({}, PolicyChanged{policy, {}});
  return copy;
}

std::vector<Entry> ended_now(const Job& job, Outcome outcome) {
  if (!is_active(job.state)) return {};
  return {AttemptEnded{job.job, static_cast<std::int64_t>(job.attempts.size()), outcome, {}}};
}

Comparison moves_between(const State& state, const Plan& before, const Plan& after, const std::vector<JobId>& without) {
  std::map<JobId, const PlannedJob*> then;
  for (const PlannedJob& line : after.jobs) then.emplace(line.job, &line);
  const std::set<JobId> left_out(without.begin(), without.end());
  Comparison found;
  for (const PlannedJob& line : before.jobs) {
    const auto now = then.find(line.job);
    if (now == then.end() || left_out.count(line.job) != 0) continue;
    const std::optional<Time> start = now->second->start_ms;
    if (start == line.start_ms) continue;
    const Job& job = state.jobs.at(line.job);
    const Allocation& allocation = line.start_ms ? line.allocation : now->second->allocation;
    MovedStart moved{line.job, job.owner.name, job.spec.account, allocation.empty() ? total_gpus(job.spec.resources) : gpus_of(allocation), line.start_ms, start};
    const bool is_later = !start || (line.start_ms && *start > *line.start_ms);
    if (is_later && start) found.displaced_gpu_ms += moved.gpus * (*start - *line.start_ms).ms;
    (is_later ? found.delayed : found.helped).push_back(std::move(moved));
  }
  return found;
}

Comparison compare(const Scheduler& scheduler, Time now, const std::vector<Entry>& entries, const std::vector<JobId>& without) {
  Plan before = scheduler.plan(now);
  Scheduler changed(scheduler);
  for (const Entry& entry : entries) changed.apply(now, entry);
  Plan after = changed.plan(now);
  Comparison found = moves_between(scheduler.state(), before, after, without);
  found.shares = shares_of(in_permille(held_in_week(scheduler.state(), before, now)), in_permille(held_in_week(changed.state(), after, now)));
  found.before = std::move(before);
  found.after = std::move(after);
  return found;
}

}  // namespace ultramarine::core
