// Short ways to say what the tests of core are about: a cluster, a queue of jobs, a running job.
#pragma once

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "scheduler/core/scheduler.h"
#include "scheduler/model/event.h"

namespace ultramarine::core {

inline const Actor ada{.uid = 1000, .name = "ada", .channel = "socket"};
inline const Actor bob{.uid = 1001, .name = "bob", .channel = "socket"};

/// `nodes` nodes, node1 .. nodeN, of `gpus` devices; partition main of all; account default for everybody; QOS normal.
inline ClusterConfig cluster_of(std::int64_t nodes, std::int64_t gpus) {
  ClusterConfig cluster;
  for (std::int64_t node = 1; node <= nodes; ++node)
    cluster.nodes.push_back({.name = "node" + std::to_string(node), .gpus = gpus, .virtual_devices = true});
  cluster.partitions.push_back({.name = "main"});
  cluster.accounts.push_back({.name = "default", .members = {"*"}});
  cluster.qos.push_back({.name = "normal"});
  return cluster;
}

inline JobSpec spec_of(Resources resources, Duration limit, Duration grace = {0}) {
  JobSpec spec;
  spec.name = "job";
  spec.account = "default";
  spec.partition = "main";
  spec.qos = "normal";
  spec.resources = resources;
  spec.time_limit_ms = limit;
  spec.stop_grace_ms = grace;
  spec.command = {"/bin/true"};
  spec.working_directory = "/tmp";
  return spec;
}

/// A scheduler and its clock. Every entry goes through `apply`, which also checks the invariants.
class Driver {
 public:
  explicit Driver(const ClusterConfig& cluster, PolicyConfig policy = {}) {
    apply(ClusterConfigured{cluster, {}});
    apply(PolicyChanged{std::move(policy), {}});
    for (const NodeConfig& node : cluster.nodes) join(node.name);
  }

  void apply(const Entry& entry) {
    scheduler.apply(now, entry);
    const auto violations = check_invariants(scheduler.state());
    EXPECT_TRUE(violations.empty()) << violations.front();
  }
  void join(const std::string& node, const std::string& boot = "boot-1") { apply(NodeJoined{node, boot, "0.1.0", node, {}}); }

  JobId submit(const JobSpec& spec, const std::string& key = "") {
    const JobId id{scheduler.state().next_job};
    apply(JobSubmitted{id, spec, {}, key, ada});
    return id;
  }
  /// Elements 0 to `count` - 1; the id of the first.
  JobId submit_array(const JobSpec& spec, std::int64_t count, std::int64_t limit = 0) {
    JobSubmitted event{.job = {scheduler.state().next_job}, .spec = spec, .actor = ada, .array_limit = limit};
    for (std::int64_t index = 0; index < count; ++index) event.array_indices.push_back(index);
    apply(event);
    return event.job;
  }
  JobId submit_after(JobId other, DependencyCondition condition, JobSpec spec) {
    spec.dependencies = {{other, condition}};
    return submit(spec);
  }
  JobId submit(std::int64_t gpus, Duration limit) { return submit(spec_of({.gpus = gpus}, limit)); }
  JobId submit(std::int64_t nodes, std::int64_t gpus_per_node, Duration limit) {
    return submit(spec_of({.nodes = nodes, .gpus_per_node = gpus_per_node}, limit));
  }

  /// decide, and apply what was decided. Returns it.
  std::vector<Decision> round() {
    const auto decisions = scheduler.decide(now);
    if (!decisions.empty()) apply(Round{now, planner_version, scheduler.policy_hash(), decisions});
    return decisions;
  }
  std::vector<JobId> start_round() {
    std::vector<JobId> started;
    for (const Decision& decision : round())
      if (const auto* start = std::get_if<StartJob>(&decision)) started.push_back(start->job);
    return started;
  }
  void run(JobId id) { apply(GangStarted{id, attempt(id).attempt, 1, {}}); }
  void end(JobId id, Outcome outcome = Outcome::succeeded) {
    apply(GangFinished{id, attempt(id).attempt, 1, outcome, {}, {}});
    apply(AttemptEnded{id, attempt(id).attempt, outcome, {}});
  }

  const Job& job(JobId id) const { return scheduler.state().jobs.at(id); }
  const Attempt& attempt(JobId id) const { return job(id).attempts.back(); }
  JobState state(JobId id) const { return job(id).state; }
  PlannedJob planned(JobId id) const {
    for (const PlannedJob& line : scheduler.plan(now).jobs)
      if (line.job == id) return line;
    ADD_FAILURE() << "job " << id.value << " is not in the plan";
    return {};
  }
  /// Planned start, counted from now; -1 when there is none.
  std::int64_t start_in_ms(JobId id) const {
    const auto start = planned(id).start_ms;
    return start ? (*start - now).ms : -1;
  }

  Scheduler scheduler;
  Time now{1'000'000};
};

inline std::string in_words(const Allocation& allocation) {
  std::string words;
  for (const NodeAllocation& on_node : allocation) {
    words += (words.empty() ? "" : " ") + on_node.node + ":";
    for (std::size_t i = 0; i < on_node.devices.size(); ++i) words += (i ? "," : "") + std::to_string(on_node.devices[i]);
  }
  return words;
}

/// Random numbers that are the same everywhere (the standard's distributions are not).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {  // splitmix64 (Steele, Lea & Flood 2014)
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(high - low + 1));
  }
  bool chance(std::int64_t permille) { return between(1, 1000) <= permille; }

 private:
  std::uint64_t state_;
};

}  // namespace ultramarine::core
