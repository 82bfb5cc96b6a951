// See certificate_check.h.
#include "scheduler/core/certificate_check.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace ultramarine::core {
namespace {

struct Holding {
  JobId job;
  Time start, end;
  std::set<std::pair<std::string, std::int64_t>> devices;
};

std::set<std::pair<std::string, std::int64_t>> devices_of(const Allocation& allocation) {
  std::set<std::pair<std::string, std::int64_t>> devices;
  for (const NodeAllocation& on_node : allocation)
    for (const std::int64_t device : on_node.devices) devices.emplace(on_node.node, device);
  return devices;
}

/// A whole stay from a start that is decided then: launch, time limit, grace.
Holding stay_from(const State& state, JobId id, Time start, const Allocation& allocation, std::optional<Duration> trial = std::nullopt) {
  const Job& job = state.jobs.at(id);
  const Duration limit = trial.value_or(job.spec.time_limit_ms);
  return {id, start, Time{start.ms + state.policy.launch_allowance_ms.ms + limit.ms + job.spec.stop_grace_ms.ms}, devices_of(allocation)};
}

bool meet(const Holding& a, const Holding& b) { return a.start < b.end && b.start < a.end; }

/// Whose cap a job counts for, and the cap: its account and all above, its QOS, its partition, and it as a user of each.
std::vector<std::pair<std::string, std::int64_t>> caps_of(const State& state, const Job& job) {
  std::vector<std::pair<std::string, std::int64_t>> caps;
  const std::string user = std::to_string(job.owner.uid) + " " + job.owner.name;
  const auto add = [&](const std::string& what, const Limits& all, const Limits& each) {
    if (all.gpus) caps.emplace_back(what, *all.gpus);
    if (each.gpus) caps.emplace_back(what + " user " + user, *each.gpus);
  };
  std::string name = job.spec.account;
  for (std::size_t steps = 0; !name.empty() && steps <= state.cluster.accounts.size(); ++steps) {
    const auto& accounts = state.cluster.accounts;
    const auto account = std::find_if(accounts.begin(), accounts.end(), [&](const AccountConfig& one) { return one.name == name; });
    if (account == accounts.end()) break;
    add("account " + name, account->limits, account->user_limits);
    if (const auto cap = state.policy.caps.find(name); cap != state.policy.caps.end()) caps.emplace_back("account " + name, cap->second);
    name = account->parent;
  }
  for (const QosConfig& qos : state.cluster.qos)
    if (qos.name == job.spec.qos) add("QOS " + qos.name, qos.limits, qos.user_limits);
  for (const PartitionConfig& partition : state.cluster.partitions)
    if (partition.name == job.spec.partition) add("partition " + partition.name, partition.limits, partition.user_limits);
  return caps;
}

std::string number(JobId job) { return "job " + std::to_string(job.value); }

}  // namespace

std::vector<std::string> broken_promises(const State& state, const Plan& promised, const Round& round) {
  std::vector<Holding> running, starting, ahead;
  std::set<JobId> started;
  for (const Decision& decision : round.decisions) {
    const auto* start = std::get_if<StartJob>(&decision);
    if (!start) continue;
    started.insert(start->job);
    starting.push_back(stay_from(state, start->job, round.now_ms, start->allocation, start->trial_ms));
  }
  for (const auto& [id, job] : state.jobs) {
    if (!is_active(job.state)) continue;
    const Attempt& attempt = job.attempts.back();
    const Time latest = attempt.decided_ms + state.policy.launch_allowance_ms;
    const Time begins = std::max(attempt.started_ms.value_or(latest), latest);
    const Duration limit = attempt.trial_ms.value_or(job.spec.time_limit_ms);
    running.push_back({id, attempt.decided_ms, std::max(begins + limit + job.spec.stop_grace_ms, round.now_ms + seconds(1)), devices_of(attempt.allocation)});
  }
  // Those ahead of the last one that starts.
  std::vector<Holding> waiting;
  for (const PlannedJob& line : promised.jobs) {
    if (started.count(line.job) != 0) ahead.insert(ahead.end(), waiting.begin(), waiting.end()), waiting.clear();
    else if (line.start_ms) waiting.push_back(stay_from(state, line.job, *line.start_ms, line.allocation));
  }

  std::vector<std::string> broken;
  for (const Holding& kept : ahead) {
    for (const std::vector<Holding>* others : {&running, &starting})
      for (const Holding& other : *others) {
        if (!meet(kept, other)) continue;
        const bool shared = std::any_of(kept.devices.begin(), kept.devices.end(), [&](const auto& device) { return other.devices.count(device) != 0; });
        if (shared) broken.push_back(number(kept.job) + " can't start when promised: " + number(other.job) + " has one of its devices then");
      }
  }

  // What is taken of each cap only grows at starts.
  std::vector<Holding> all = running;
  all.insert(all.end(), starting.begin(), starting.end());
  all.insert(all.end(), ahead.begin(), ahead.end());
  std::map<JobId, std::vector<std::pair<std::string, std::int64_t>>> caps;
  for (const Holding& one : all) caps.emplace(one.job, caps_of(state, state.jobs.at(one.job)));
  for (const Holding& kept : ahead)
    for (const auto& [who, most] : caps.at(kept.job)) {
      std::int64_t taken = 0;
      for (const Holding& other : all) {
        const auto& its = caps.at(other.job);
        const bool counts = std::any_of(its.begin(), its.end(), [&](const auto& cap) { return cap.first == who; });
        if (counts && other.start <= kept.start && kept.start < other.end) taken += static_cast<std::int64_t>(other.devices.size());
      }
      if (taken > most) broken.push_back(number(kept.job) + " can't start when promised: " + who + " would have " + std::to_string(taken) + " GPUs, and may have " + std::to_string(most));
    }
  return broken;
}

}  // namespace ultramarine::core
