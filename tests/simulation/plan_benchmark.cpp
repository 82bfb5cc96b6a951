// How long a complete forward plan takes: queues of growing length on 8 nodes of 8 GPUs that are full. Prints milliseconds of
// CPU time (a busy machine doesn't change them), the median of five. Usage: ultramarine_plan_benchmark [queued jobs ...]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <vector>

#include "scheduler/core/scheduler.h"

namespace {

using namespace ultramarine;

std::uint64_t random_state = 1;
std::int64_t random_between(std::int64_t low, std::int64_t high) {  // a linear congruential generator (Knuth, MMIX)
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return low + static_cast<std::int64_t>((random_state >> 33) % static_cast<std::uint64_t>(high - low + 1));
}

/// `round_limits`: people ask for 1 h, 2 h, 4 h ...; else every job has a limit of its own, in ms.
core::Scheduler busy_cluster(int queued, bool round_limits) {
  core::Scheduler scheduler;
  const Time now{1'000'000};
  ClusterConfig cluster;
  for (int node = 1; node <= 8; ++node) cluster.nodes.push_back({.name = "node" + std::to_string(node), .gpus = 8});
  cluster.partitions.push_back({.name = "main"});
  scheduler.apply(now, ClusterConfigured{cluster, {}});
  for (const NodeConfig& node : cluster.nodes) scheduler.apply(now, NodeJoined{node.name, "boot", "", "", {}});
  const auto submit = [&](std::int64_t gpus) {
    JobSpec spec;
    spec.partition = "main";
    spec.resources.gpus = gpus;
    spec.time_limit_ms = round_limits ? hours(std::int64_t{1} << random_between(0, 6)) : milliseconds(random_between(60'000, 86'400'000));
    scheduler.apply(now, JobSubmitted{JobId{scheduler.state().next_job}, spec, {}, "", {}});
  };
  for (int job = 0; job < 16; ++job) submit(4);
  scheduler.apply(now, Round{now, core::planner_version, "", scheduler.decide(now)});
  for (int job = 0; job < queued; ++job) {
    const std::int64_t kind = random_between(1, 100);
    submit(kind <= 50 ? random_between(1, 4) : kind <= 80 ? 8 : kind <= 95 ? random_between(9, 32) : 64);
  }
  return scheduler;
}

template <class Work>
double median_ms(Work work) {
  std::vector<double> times;
  for (int repeat = 0; repeat < 5; ++repeat) {
    const std::clock_t start = std::clock();
    work();
    times.push_back(1000.0 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

}  // namespace

int main(int count, char** arguments) {
  std::vector<int> lengths{100, 1000, 10'000};
  if (count > 1) lengths.clear();
  for (int index = 1; index < count; ++index) lengths.push_back(std::atoi(arguments[index]));
  std::printf("%10s %14s %10s %12s %14s\n", "queued", "time limits", "plan ms", "decide ms", "state hash ms");
  for (const int length : lengths) {
    for (const bool round_limits : {true, false}) {
      const core::Scheduler scheduler = busy_cluster(length, round_limits);
      std::size_t lines = 0;
      const Time now{1'000'000};
      const double plan = median_ms([&] { lines += scheduler.plan(now).jobs.size(); });
      const double decide = median_ms([&] { lines += scheduler.decide(now).size(); });
      const double hash = median_ms([&] { lines += scheduler.state_hash().size(); });
      std::printf("%10d %14s %10.1f %12.1f %14.1f\n", length, round_limits ? "round" : "all different", plan, decide, hash);
      if (lines == 0) return 1;
    }
  }
  return 0;
}
