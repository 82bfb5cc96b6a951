// How long a complete forward plan takes: queues of growing length on 8 nodes of 8 GPUs that are full, and one on 1,024 nodes; and a decision
// after one event. Prints milliseconds of CPU time (a busy machine changes them little), the median of five (of decisions: the 99th of 100),
// beside what they should take at most. Usage: ultramarine_plan_benchmark [queued jobs ...]
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
core::Scheduler busy_cluster(int nodes, int queued, bool round_limits) {
  core::Scheduler scheduler;
  const Time now{1'000'000};
  ClusterConfig cluster;
  for (int node = 1; node <= nodes; ++node) cluster.nodes.push_back({.name = "node" + std::to_string(node), .gpus = 8});
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
  for (int job = 0; job < 2 * nodes; ++job) submit(4);
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

/// One job ends early or one comes, by turns; the round that follows is timed.
double decision_p99_ms(core::Scheduler scheduler) {
  std::vector<double> times;
  Time now{1'000'000};
  for (int event = 0; event < 300; ++event) {
    now = now + seconds(random_between(1, 60));
    std::vector<JobId> active;
    for (const auto& [id, job] : scheduler.state().jobs)
      if (is_active(job.state)) active.push_back(id);
    if (event % 2 == 0 && !active.empty()) {
      const JobId ends = active[static_cast<std::size_t>(random_between(0, static_cast<std::int64_t>(active.size()) - 1))];
      const std::int64_t attempt = scheduler.state().jobs.at(ends).attempts.back().attempt;
      scheduler.apply(now, Entry{GangStarted{ends, attempt, 1, {}}});
      scheduler.apply(now, AttemptEnded{ends, attempt, Outcome::succeeded, {}});
    } else {
      JobSpec spec;
      spec.partition = "main";
      spec.resources.gpus = random_between(1, 8);
      spec.time_limit_ms = hours(random_between(1, 24));
      scheduler.apply(now, JobSubmitted{JobId{scheduler.state().next_job}, spec, {}, "", {}});
    }
    const std::clock_t start = std::clock();
    const std::vector<Decision> decisions = scheduler.decide(now);
    times.push_back(1000.0 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
    if (!decisions.empty()) scheduler.apply(now, Round{now, core::planner_version, "", decisions});
  }
  std::sort(times.begin(), times.end());
  return times[times.size() * 99 / 100];
}

double target_ms(int nodes, int queued) { return nodes > 8 ? 2000 : queued > 10'000 ? 1000 : 50; }

void measure(int nodes, int queued) {
  for (const bool round_limits : {true, false}) {
    const core::Scheduler scheduler = busy_cluster(nodes, queued, round_limits);
    const Time now{1'000'000};
    std::size_t lines = 0;
    const double plan = median_ms([&] { lines += scheduler.plan(now).jobs.size(); });
    const double decide = median_ms([&] { lines += scheduler.decide(now).size(); });
    const double hash = median_ms([&] { lines += scheduler.state_hash().size(); });
    const double decision = decision_p99_ms(scheduler);
    std::printf("%6d %8d %14s %10.1f %8.2f %10.2f %14.2f %8.2f %14.1f\n", nodes, queued, round_limits ? "round" : "all different", plan,
                plan / target_ms(nodes, queued), decide, decision, decision / 10, hash);
    if (lines == 0) std::exit(1);
  }
}

}  // namespace

int main(int count, char** arguments) {
  std::vector<int> lengths{1000, 10'000, 100'000};
  if (count > 1) lengths.clear();
  for (int index = 1; index < count; ++index) lengths.push_back(std::atoi(arguments[index]));
  std::printf("%6s %8s %14s %10s %8s %10s %14s %8s %14s\n", "nodes", "queued", "time limits", "plan ms", "of most", "decide ms", "p99 after event", "of 10 ms",
              "state hash ms");
  for (const int length : lengths) measure(8, length);
  if (count == 1) measure(1024, 10'000);
  return 0;
}
