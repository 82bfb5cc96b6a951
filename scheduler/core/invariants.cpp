// The sums and rules that hold in every reachable state, as their own code: it shares nothing with lifecycle.cpp but the nouns, so
// that one mistake can't hide in both. Called after every step of a simulation, and at will in production.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "scheduler/core/fair_share.h"
#include "scheduler/core/scheduler.h"

namespace ultramarine::core {
namespace {

class Check {
 public:
  explicit Check(const State& state) : state_(state) {}

  std::vector<std::string> run() {
    for (const auto& [id, job] : state_.jobs) check_job(id, job);
    check_devices();
    check_nodes();
    check_request_keys();
    check_charges();
    check_period();
    check_usage();
    check_arrays();
    check_dependencies();
    return std::move(violations_);
  }

 private:
  void must(bool holds, const std::string& subject, const std::string& violation) {
    if (!holds) violations_.push_back(subject + " " + violation);
  }

  void check_job(JobId id, const Job& job) {
    const std::string subject = "job " + std::to_string(id.value);
    must(job.job == id, subject, "is kept under another number");
    must(id.value >= 1 && id.value < state_.next_job, subject, "has a number that was not given yet");
    must(is_terminal(job.state) == job.ended_ms.has_value(), subject, "has an end exactly when it is in a terminal state: not so");
    must(job.state != JobState::stopping || job.stop_cause != StopCause::none, subject, "is stopping without a cause");
    if (!is_terminal(job.state) && job.state != JobState::stopping)
      must(job.stop_cause == StopCause::none, subject, "has a cause to stop but is not stopping");
    const bool partition_exists = std::any_of(state_.cluster.partitions.begin(), state_.cluster.partitions.end(),
                                              [&](const PartitionConfig& partition) { return partition.name == job.spec.partition; });
    if (job.state == JobState::queued) must(partition_exists, subject, "is queued for a partition that is not there");
    must((job.state == JobState::held) == job.hold.has_value(), subject, "has a hold exactly when it is held: not so");
    if (job.hold) must((job.hold->kind == HoldKind::configuration) <= !partition_exists, subject, "is held by the configuration though its partition is there");
    for (std::size_t index = 0; index < job.attempts.size(); ++index) check_attempt(subject, job, index);
    if (is_active(job.state)) check_active(subject, job);
    if (job.state == JobState::completed)
      must(!job.attempts.empty() && job.attempts.back().outcome == Outcome::succeeded, subject, "is completed but its last attempt did not succeed");
    if (job.state == JobState::failed)
      must(!job.attempts.empty() && job.attempts.back().outcome != Outcome::succeeded, subject, "is failed but its last attempt succeeded");
  }

  void check_attempt(const std::string& job_subject, const Job& job, std::size_t index) {
    const Attempt& attempt = job.attempts[index];
    const std::string subject = job_subject + " attempt " + std::to_string(attempt.attempt);
    must(attempt.attempt == static_cast<std::int64_t>(index) + 1, subject, "is numbered out of order");
    const bool is_open = index + 1 == job.attempts.size() && is_active(job.state);
    must(is_open != attempt.ended_ms.has_value(), subject, is_open ? "has ended but its job is active" : "has not ended but its job holds nothing");
    must(attempt.ended_ms.has_value() == attempt.outcome.has_value(), subject, "has an outcome exactly when it has ended: not so");
    std::int64_t devices = 0;
    std::set<std::string> nodes;
    for (const NodeAllocation& on_node : attempt.allocation) {
      must(nodes.insert(on_node.node).second, subject, "lists node " + on_node.node + " twice");
      must(!on_node.devices.empty(), subject, "has no device on node " + on_node.node);
      must(std::is_sorted(on_node.devices.begin(), on_node.devices.end()), subject, "lists the devices of " + on_node.node + " out of order");
      devices += static_cast<std::int64_t>(on_node.devices.size());
    }
    const bool is_rejection = devices == 0 && attempt.outcome == Outcome::start_failed;
    const std::int64_t asked = total_gpus(job.spec.resources);
    if (attempt.trial_ms)
      check_trial(subject, job, attempt, devices);
    else
      must(is_rejection || (job.spec.exclusive ? devices >= asked : devices == asked), subject,
           "has another number of devices than was asked for: a gang is whole or absent");
    std::set<std::int64_t> gangs;
    must(std::is_sorted(attempt.gangs.begin(), attempt.gangs.end(), [](const Gang& a, const Gang& b) { return a.gang < b.gang; }), subject,
         "has its gangs out of order");
    for (const Gang& gang : attempt.gangs) {
      must(gangs.insert(gang.gang).second, subject, "has gang " + std::to_string(gang.gang) + " twice");
      if (gang.finished_ms) must(gang.outcome.has_value(), subject, "has a finished gang without an outcome");
      must(is_open || gang.gang == 1 || gang.finished_ms, subject, "has ended but its gang " + std::to_string(gang.gang) + " has not finished");
      must((gang.gang > 1) == gang.spec.has_value() && (gang.gang > 1) == gang.requested_ms.has_value(), subject,
           "has a gang that was asked for exactly when it is not the first: not so");
      must(gang.gang == 1 || job.spec.script || (gang.spec && gang.spec->beside_rank), subject, "has a second gang but is no script");
      must(gang.gang > 1 || gang.failure == attempt.failure, subject, "did not fail as its first gang did");
      std::set<std::int64_t> ranks;
      for (const RankResult& rank : gang.ranks) must(ranks.insert(rank.rank).second, subject, "has rank " + std::to_string(rank.rank) + " twice");
    }
  }

  void check_trial(const std::string& subject, const Job& job, const Attempt& attempt, std::int64_t devices) {
    must(attempt.trial_ms->ms > 0, subject, "is a trial of no length");
    must(attempt.attempt == 1, subject, "is a trial of a job that had been started before");
    must(job.spec.trial, subject, "is a trial though its owner wants none");
    must(attempt.allocation.size() == 1, subject, "is a trial on several nodes");
    must(devices <= total_gpus(job.spec.resources), subject, "is a trial on more devices than was asked for");
  }

  void check_active(const std::string& subject, const Job& job) {
    if (job.attempts.empty()) return must(false, subject, "is active without an attempt");
    const Attempt& attempt = job.attempts.back();
    if (job.state == JobState::starting) must(!attempt.started_ms, subject, "is starting though its ranks ran");
    if (job.state == JobState::running) must(attempt.started_ms.has_value(), subject, "is running though its ranks never did");
    bool unreachable = false;
    for (const NodeAllocation& on_node : attempt.allocation) {
      const auto node = state_.nodes.find(on_node.node);
      must(node != state_.nodes.end(), subject, "holds devices of node " + on_node.node + ", which is not known");
      if (node != state_.nodes.end() && node->second.drain)
        must(attempt.decided_ms <= node->second.drain->since_ms, subject, "started on node " + on_node.node + " after it had been drained");
      unreachable |= node != state_.nodes.end() && node->second.state == NodeState::unreachable;
      for (const std::int64_t device : on_node.devices) {
        const auto [holder, is_first] = holders_.emplace(std::pair{on_node.node, device}, job.job);
        must(is_first, subject, "holds device " + std::to_string(device) + " of " + on_node.node + ", and so does job " + std::to_string(holder->second.value));
      }
    }
    if (job.state == JobState::unknown) must(unreachable, subject, "is unknown though all its nodes are heard");
    if (job.state == JobState::starting || job.state == JobState::running) must(!unreachable, subject, "goes on though one of its nodes is unreachable");
  }

  void check_devices() {
    std::map<std::string, std::int64_t> held;
    for (const auto& [device, job] : holders_) {
      ++held[device.first];
      const auto node = state_.nodes.find(device.first);
      if (node != state_.nodes.end())
        must(device.second >= 0 && device.second < node->second.config.gpus, "job " + std::to_string(job.value),
             "holds device " + std::to_string(device.second) + " of " + device.first + ", which has " + std::to_string(node->second.config.gpus));
    }
    for (const auto& [name, node] : state_.nodes) {
      std::int64_t free = 0;
      for (std::int64_t device = 0; device < node.config.gpus; ++device) free += holders_.count({name, device}) == 0 ? 1 : 0;
      must(held[name] + free == node.config.gpus, "node " + name, "has held + free devices that differ from its total");
    }
  }

  void check_nodes() {
    std::set<std::string> configured;
    for (const NodeConfig& config : state_.cluster.nodes) {
      configured.insert(config.name);
      must(state_.nodes.count(config.name) == 1, "node " + config.name, "is configured but not known");
    }
    for (const auto& [name, node] : state_.nodes) {
      must(node.config.name == name, "node " + name, "is kept under another name");
      const bool is_held = std::any_of(holders_.begin(), holders_.end(), [&, node_name = name](const auto& holder) { return holder.first.first == node_name; });
      must(configured.count(name) == 1 || is_held, "node " + name, "is neither configured nor held");
      if (node.state == NodeState::up) must(!node.drain, "node " + name, "is up though somebody drained it");
      if (node.state == NodeState::draining || node.state == NodeState::drained) {
        must(node.drain.has_value(), "node " + name, "is drained though nobody asked for it");
        must((node.state == NodeState::draining) == is_held, "node " + name, "is draining exactly while a job holds devices of it: not so");
      }
      if (node.drain) must(!node.drain->reason.empty(), "node " + name, "is drained without a reason");
    }
  }

  void check_request_keys() {
    std::size_t with_key = 0;
    for (const auto& [id, job] : state_.jobs) {
      if (job.request_key.empty()) continue;
      ++with_key;
      const auto key = state_.request_keys.find(std::to_string(job.owner.uid) + ":" + job.request_key);
      must(key != state_.request_keys.end() && key->second == id, "job " + std::to_string(id.value), "is not the job of its request key");
    }
    must(with_key == state_.request_keys.size(), "request keys", "name jobs that are not there");
  }

  void check_charges() {
    std::map<std::string, std::int64_t> charges;
    for (const auto& [id, job] : state_.jobs) {
      for (const Attempt& attempt : job.attempts) {
        if (!attempt.ended_ms) continue;
        const std::int64_t held_ms = std::max<std::int64_t>((*attempt.ended_ms - attempt.decided_ms).ms, 0);
        for (const NodeAllocation& on_node : attempt.allocation)
          charges[job.spec.account] += held_ms * static_cast<std::int64_t>(on_node.devices.size());
      }
    }
    for (const auto& [account, charged] : state_.allocated_gpu_ms)
      must(charges[account] == charged, "account " + account, "is charged " + std::to_string(charged) + " GPU-ms for " + std::to_string(charges[account]));
    for (const auto& [account, used] : charges)
      must(used == 0 || state_.allocated_gpu_ms.count(account) == 1, "account " + account, "is charged nothing for " + std::to_string(used) + " GPU-ms");
  }

  void check_usage() {
    std::map<std::string, std::set<std::string>> charged;
    for (const auto& [account, users] : state_.usage) {
      for (const auto& [user, usage] : users) {
        charged[account].insert(user);
        must(usage.gpu_ms >= 0 && usage.later_gpu_ms >= 0, "user " + user + " of account " + account, "has used less than nothing");
      }
    }
    for (const auto& [id, job] : state_.jobs) {
      const std::string user = user_name(job.owner);
      must(charged[job.spec.account].count(user) == 1, "job " + std::to_string(id.value), "belongs to nobody who is charged");
    }
  }

  /// What counts in the month is what ended attempts held in it, once by account, by QOS and by partition.
  void check_period() {
    std::int64_t held = 0;
    for (const auto& [id, job] : state_.jobs) {
      for (const Attempt& attempt : job.attempts) {
        if (!attempt.ended_ms) continue;
        const std::int64_t start = std::max(attempt.decided_ms.ms, state_.period.start_ms.ms), end = std::min(attempt.ended_ms->ms, state_.period.end_ms.ms);
        for (const NodeAllocation& on_node : attempt.allocation)
          held += std::max<std::int64_t>(end - start, 0) * static_cast<std::int64_t>(on_node.devices.size());
      }
    }
    std::map<std::string, std::int64_t> counted;
    for (const auto& [key, gpu_ms] : state_.period.held_gpu_ms) counted[key.substr(0, key.find(' '))] += gpu_ms;
    for (const char* by : {"account", "qos", "partition"})
      must(counted[by] == held, "the month", "counts " + std::to_string(counted[by]) + " GPU-ms by " + by + ", and " + std::to_string(held) + " were held");
  }

  void check_arrays() {
    std::map<JobId, std::int64_t> active;
    for (const auto& [id, job] : state_.jobs) {
      if (!job.array) continue;
      const std::string subject = "job " + std::to_string(id.value);
      const ArrayElement& element = *job.array;
      must(element.array <= id && id.value < element.array.value + element.count, subject, "is numbered outside of its array");
      const auto first = state_.jobs.find(element.array);
      must(first != state_.jobs.end() && first->second.array && first->second.array->array == element.array, subject, "belongs to an array that is not there");
      if (is_active(job.state)) ++active[element.array];
      must(element.limit == 0 || active[element.array] <= element.limit, subject, "runs beyond the limit of its array");
    }
  }

  void check_dependencies() {
    std::vector<JobId> awaiting;
    for (const auto& [id, job] : state_.jobs) {
      const std::string subject = "job " + std::to_string(id.value);
      if (job.spec.dependencies.empty()) must(!job.eligible_ms, subject, "was waited for though it depends on nothing");
      else if (!job.eligible_ms && !is_terminal(job.state)) awaiting.push_back(id);
      if (!job.spec.dependencies.empty() && is_active(job.state)) must(job.eligible_ms.has_value(), subject, "started before what it depends on had come");
    }
    must(awaiting == state_.awaiting_dependencies, "jobs that wait for others", "are not those that are listed");
  }

  const State& state_;
  std::map<std::pair<std::string, std::int64_t>, JobId> holders_;  // (node, device) -> the job that holds it
  std::vector<std::string> violations_;
};

}  // namespace

std::vector<std::string> check_invariants(const State& state) { return Check(state).run(); }

}  // namespace ultramarine::core
