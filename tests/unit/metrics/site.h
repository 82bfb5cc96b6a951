// A cluster of two nodes with an exporter beside its scheduler, and how to read what it serves.
#pragma once

#include <optional>
#include <sstream>
#include <string>

#include "scheduler/core/scheduler.h"
#include "scheduler/metrics/exporter.h"

namespace ultramarine::metrics {

const Time start{1'800'000'000'000};

inline NodeConfig eight_gpus(const std::string& name) {
  NodeConfig node;
  node.name = name;
  node.gpus = 8;
  node.gpu_type = "H100";
  node.virtual_devices = true;
  return node;
}

inline ClusterConfig two_nodes() {
  ClusterConfig config;
  config.nodes = {eight_gpus("node01"), eight_gpus("node02")};
  PartitionConfig partition;
  partition.name = "main";
  partition.nodes = {"node01", "node02"};
  config.partitions = {partition};
  for (const char* name : {"lab-a", "lab-b"}) {
    AccountConfig account;
    account.name = name;
    account.members = {"*"};
    config.accounts.push_back(account);
  }
  QosConfig qos;
  qos.name = "normal";
  config.qos = {qos};
  return config;
}

/// 3.60 EUR an hour are a tenth of a cent a second.
inline ClusterConfig priced() {
  ClusterConfig config = two_nodes();
  config.money.currency = "EUR";
  config.money.price_per_gpu_hour_milli = 3600;
  return config;
}

/// The real core and the exporter beside it, fed with the same entries.
struct Site {
  core::Scheduler scheduler;
  core::Liveness liveness;
  Exporter exporter;
  Time now = start;

  explicit Site(ClusterConfig cluster = two_nodes(), Settings settings = {}) : exporter({"1.2.3", "abc", "g++ 12.2"}, start) {
    exporter.obey(std::move(settings));
    exporter.begin(now, scheduler.state());
    exporter.know(cluster);
    record(ClusterConfigured{cluster, {}});
    for (const char* name : {"node01", "node02"}) {
      record(NodeJoined{name, "boot", "1", "127.0.0.1", {}});
      core::NodeLiveness& node = liveness.nodes[name];
      node.connected = true;
      node.last_heard_ms = now;
      node.facts.emplace().clock_ms = now + milliseconds(250);
      node.facts_heard_ms = now;
      for (int i = 0; i < 8; ++i) node.devices.push_back({i, "uuid", "virtual", 500, 0});
    }
  }
  void record(const Entry& entry) {
    scheduler.apply(now, entry);
    exporter.on_entry(now, entry, scheduler.state());
  }
  JobId submit(std::int64_t gpus, const std::string& account = "lab-a") {
    JobSpec spec;
    spec.command = {"x"};
    spec.working_directory = "/";
    spec.account = account;
    spec.name = "train";
    spec.resources.gpus = gpus;
    const JobId job{scheduler.state().next_job};
    record(JobSubmitted{job, std::get<core::Accepted>(scheduler.accept(spec, {1, "u", "socket"})).spec, {}, "", {1, "u", "socket"}});
    return job;
  }
  void decide() {
    const auto decisions = scheduler.decide(now);
    if (!decisions.empty()) record(Round{now, core::planner_version, scheduler.policy_hash(), decisions});
  }
  void run(JobId job) {
    record(GangStarted{job, 1, 1, {}});
    auto& progress = liveness.gangs[{job, 1, 1}].progress.emplace();
    progress.step = 10;
    progress.loss = 2.5;
    progress.tokens = 4096;
    progress.tokens_per_s = 1000;
    progress.flops_per_token = 1.978e12;
  }
  /// A new job that has run for so long.
  JobId have_run(Duration length, std::int64_t gpus, const std::string& account = "lab-a") {
    const JobId job = submit(gpus, account);
    decide();
    run(job);
    now = now + length;
    return job;
  }
  void end(JobId job, Outcome outcome = Outcome::succeeded) {
    record(GangFinished{job, 1, 1, outcome, {}, {}});
    record(AttemptEnded{job, 1, outcome, {}});
    liveness.gangs.erase({job, 1, 1});
  }
  /// As the daemon's follower does it, after something has happened.
  void look() { exporter.on_plan(scheduler.state(), scheduler.plan(now)); }
  /// Samples of all devices once a second, for so long.
  void sample(Duration length, std::int64_t permille) {
    for (const Time end = now + length; now < end; now = now + seconds(1))
      for (auto& [name, node] : liveness.nodes) {
        for (DeviceReport& device : node.devices) device.utilization_permille = permille;
        exporter.on_devices(now, name, node.source, node.devices);
      }
  }
  void save(JobId job, std::int64_t step) { record(CheckpointSaved{job, 1, 1, step, "/c", {}}); }
  std::string text() const {
    const Plan plan = scheduler.plan(now);
    return exporter.text({scheduler.state(), plan, liveness, now, 2, 4096, 512, 3});
  }
};

/// One series' value, or nullopt.
inline std::optional<double> value(const std::string& text, const std::string& series) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.rfind(series + " ", 0) == 0) return std::stod(line.substr(series.size() + 1));
  return std::nullopt;
}

inline double sum(const std::string& text, const std::string& name) {
  double total = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.rfind(name + "{", 0) == 0) total += std::stod(line.substr(line.rfind(' ') + 1));
  return total;
}

}  // namespace ultramarine::metrics
