// See world.h: what must be true of each round, looked at before it is applied. Written from the meaning of the nouns, apart from the planner: which
// job may start, and where, given all that people and configuration have said.
#include <algorithm>

#include "scheduler/core/dependencies.h"
#include "tests/simulation/core/world.h"

namespace ultramarine::core {
namespace {

std::int64_t devices_on(const Job& job, const std::string& node) {
  std::int64_t devices = 0;
  if (!is_active(job.state)) return 0;
  for (const NodeAllocation& on_node : job.attempts.back().allocation)
    if (on_node.node == node) devices += static_cast<std::int64_t>(on_node.devices.size());
  return devices;
}

template <class List, class Value>
bool contains(const List& list, const Value& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

}  // namespace

void World::check_start(const State& state, const StartJob& start) {
  const Job& job = state.jobs.at(start.job);
  const JobSpec& spec = job.spec;
  const auto must = [&](bool holds, const std::string& violation) {
    if (!holds) complaints_.push_back("job " + std::to_string(start.job.value) + " is to start though " + violation);
  };
  must(job.state == JobState::queued && !job.hold, "it doesn't queue");
  must(spec.dependencies.empty() || job.eligible_ms, "what it depends on has not come");
  std::int64_t devices = 0;
  bool whole_nodes = true;
  for (const NodeAllocation& on_node : start.allocation) {
    devices += static_cast<std::int64_t>(on_node.devices.size());
    const auto found = state.nodes.find(on_node.node);
    const auto config = std::find_if(state.cluster.nodes.begin(), state.cluster.nodes.end(), [&](const NodeConfig& c) { return c.name == on_node.node; });
    if (found == state.nodes.end() || config == state.cluster.nodes.end()) {
      must(false, on_node.node + " is not in the cluster file");
      continue;
    }
    const Node& node = found->second;
    must(node.state == NodeState::up, on_node.node + " is not up");
    must(!node.drain, on_node.node + " is drained");
    must(spec.gpu_type.empty() || spec.gpu_type == config->gpu_type, on_node.node + " is of another type");
    for (const std::string& feature : spec.features) must(contains(config->features, feature), on_node.node + " has no " + feature);
    must(spec.only_nodes.empty() || contains(spec.only_nodes, on_node.node), on_node.node + " is none of those it names");
    must(!contains(spec.without_nodes, on_node.node), on_node.node + " is excluded");
    const auto partition = std::find_if(state.cluster.partitions.begin(), state.cluster.partitions.end(), [&](const auto& p) { return p.name == spec.partition; });
    must(partition != state.cluster.partitions.end() && (partition->nodes.empty() || contains(partition->nodes, on_node.node)), on_node.node + " is not of its partition");
    must(on_node.devices.back() < config->gpus, on_node.node + " has no such device");
    whole_nodes = whole_nodes && static_cast<std::int64_t>(on_node.devices.size()) == node.config.gpus;
    std::int64_t cpus = spec.cpus_per_gpu * static_cast<std::int64_t>(on_node.devices.size());
    for (const auto& [id, other] : state.jobs) cpus += other.spec.cpus_per_gpu * devices_on(other, on_node.node);
    must(config->cpus == 0 || spec.cpus_per_gpu == 0 || spec.exclusive || cpus <= config->cpus,
         on_node.node + " has too few CPUs: " + std::to_string(cpus) + " of " + std::to_string(config->cpus) + (spec.exclusive ? ", exclusive" : ""));
  }
  if (start.trial_ms) must(devices <= total_gpus(spec.resources) && job.attempts.empty() && spec.trial && !spec.exclusive && spec.ranks == 0, "it can't be tried so");
  else if (spec.exclusive) must(whole_nodes && devices >= total_gpus(spec.resources), "it doesn't get its nodes whole");
  else must(devices == total_gpus(spec.resources), "it gets another number of devices");
  check_dates(state, job, start);
  check_limits(state, job, start.allocation);
}

/// Dates: its own, and those of reservations. A job is taken to hold its nodes for as long as it may.
void World::check_dates(const State& state, const Job& job, const StartJob& start) {
  const JobSpec& spec = job.spec;
  const auto must = [&](bool holds, const std::string& violation) {
    if (!holds) complaints_.push_back("job " + std::to_string(job.job.value) + " is to start though " + violation);
  };
  must(!spec.begin_ms || *spec.begin_ms <= now_, "its begin time is to come");
  must(!spec.deadline_ms || now_ + spec.time_limit_ms <= *spec.deadline_ms, "its deadline comes before its end");
  const Time end = now_ + state.policy.launch_allowance_ms + start.trial_ms.value_or(spec.time_limit_ms) + spec.stop_grace_ms;
  must(spec.reservation.empty() || state.reservations.count(spec.reservation) == 1, "its reservation is over");
  for (const auto& [name, reservation] : state.reservations)
    for (const NodeAllocation& on_node : start.allocation) {
      const bool is_kept = contains(reservation.nodes, on_node.node);
      if (spec.reservation == name) {
        must(is_kept, on_node.node + " is none of its reservation");
        must(contains(reservation.accounts, spec.account), "its reservation is for other accounts");
        must(reservation.start_ms <= now_ && end <= reservation.end_ms, "its reservation doesn't cover its stay");
      } else if (is_kept) {
        must(end <= reservation.start_ms || reservation.end_ms <= now_, on_node.node + " is kept for " + name);
      }
    }
}

/// Hard caps: with it, no account (and all under it), QOS or partition, and no user in one, holds more than it may.
void World::check_limits(const State& state, const Job& job, const Allocation& allocation) {
  const ClusterConfig& cluster = state.cluster;
  const auto is_under = [&](std::string account, const std::string& above) {
    while (!account.empty() && account != above) {
      const auto found = std::find_if(cluster.accounts.begin(), cluster.accounts.end(), [&](const AccountConfig& a) { return a.name == account; });
      account = found == cluster.accounts.end() ? "" : found->parent;
    }
    return account == above;
  };
  const auto check = [&](const Limits& limits, const std::string& whose, const auto& counts) {
    if (!counts(job)) return;
    std::int64_t gpus = 0, jobs = 1;
    for (const NodeAllocation& on_node : allocation) gpus += static_cast<std::int64_t>(on_node.devices.size());
    if (limits.gpus_per_job && gpus > *limits.gpus_per_job) complaints_.push_back("job " + std::to_string(job.job.value) + " is larger than " + whose + " may have");
    for (const auto& [id, other] : state.jobs) {
      if (!is_active(other.state) || !counts(other)) continue;
      ++jobs;
      for (const NodeAllocation& on_node : other.attempts.back().allocation) gpus += static_cast<std::int64_t>(on_node.devices.size());
    }
    const std::string with_it = " with job " + std::to_string(job.job.value);
    if (limits.gpus && gpus > *limits.gpus) complaints_.push_back(whose + " holds " + std::to_string(gpus) + " GPUs" + with_it + ", its limit is " + std::to_string(*limits.gpus));
    if (limits.jobs && jobs > *limits.jobs) complaints_.push_back(whose + " runs " + std::to_string(jobs) + " jobs" + with_it + ", its limit is " + std::to_string(*limits.jobs));
  };
  const auto check_both = [&](const auto& config, const std::string& whose, const auto& counts) {
    check(config.limits, whose, counts);
    check(config.user_limits, "user " + job.owner.name + " of " + whose, [&](const Job& other) { return counts(other) && other.owner.name == job.owner.name; });
  };
  for (const AccountConfig& account : cluster.accounts)
    check_both(account, "account " + account.name, [&](const Job& other) { return is_under(other.spec.account, account.name); });
  for (const QosConfig& qos : cluster.qos) check_both(qos, "QOS " + qos.name, [&](const Job& other) { return other.spec.qos == qos.name; });
  for (const PartitionConfig& partition : cluster.partitions)
    check_both(partition, "partition " + partition.name, [&](const Job& other) { return other.spec.partition == partition.name; });
}

void World::check_round(const std::vector<Decision>& decisions) {
  if (decisions.empty()) return;
  Scheduler so_far(scheduler_.state());  // with those that started before it in this round
  for (const Decision& decision : decisions) {
    if (const auto* start = std::get_if<StartJob>(&decision)) check_start(so_far.state(), *start);
    so_far.apply(now_, Round{now_, planner_version, "", {decision}});
  }
}

/// Queued jobs that their owner reordered are planned in the order that he gave them. (Floors and soft caps come before that.)
void World::check_own_turns(const Plan& plan) {
  if (has(Habit::limits)) return;
  std::map<std::tuple<std::string, std::string, std::string, std::string>, std::int64_t> last;
  for (const PlannedJob& line : plan.jobs) {
    const Job& job = scheduler_.state().jobs.at(line.job);
    if (job.state != JobState::queued || job.own_turn == 0 || awaits_others(job)) continue;  // who waits for others is behind all who don't
    std::int64_t& turn = last[{job.owner.name, job.spec.account, job.spec.partition, job.spec.qos}];
    if (job.own_turn < turn) complaints_.push_back("job " + std::to_string(line.job.value) + " is behind one that its owner put after it");
    turn = job.own_turn;
  }
}

}  // namespace ultramarine::core
