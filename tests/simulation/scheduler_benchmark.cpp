// What the core alone costs, for scripts/bench-scheduler: complete plans, the decision after one event, heap per queued job. Prints one JSON
// object per figure (the arguments of the script's Report.add). Times are CPU time of this process, which a busy machine hardly changes.
// Usage: ultramarine_scheduler_benchmark [--quick] [plan] [decision] [heap]
#include <malloc.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <new>
#include <set>
#include <string>
#include <vector>

#include "scheduler/core/scheduler.h"

namespace {

std::size_t heap_bytes = 0;  // held by `new`, with what malloc adds to each piece

void* counted(std::size_t size) {
  void* piece = std::malloc(size);
  if (!piece) throw std::bad_alloc();
  heap_bytes += malloc_usable_size(piece) + sizeof(std::size_t);
  return piece;
}

void uncount(void* piece) noexcept {
  if (piece) heap_bytes -= malloc_usable_size(piece) + sizeof(std::size_t);
  std::free(piece);
}

}  // namespace

void* operator new(std::size_t size) { return counted(size); }
void* operator new[](std::size_t size) { return counted(size); }
void operator delete(void* piece) noexcept { uncount(piece); }
void operator delete[](void* piece) noexcept { uncount(piece); }
void operator delete(void* piece, std::size_t) noexcept { uncount(piece); }
void operator delete[](void* piece, std::size_t) noexcept { uncount(piece); }

namespace {

using namespace ultramarine;

const Actor alice{1000, "alice", "socket"};

std::uint64_t random_state = 1;
std::int64_t random_between(std::int64_t low, std::int64_t high) {  // a linear congruential generator (Knuth, MMIX)
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return low + static_cast<std::int64_t>((random_state >> 33) % static_cast<std::uint64_t>(high - low + 1));
}

double cpu_ms() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return 1e3 * static_cast<double>(now.tv_sec) + 1e-6 * static_cast<double>(now.tv_nsec);
}

/// Of time limits: whole hours, as people write them; or another for every job, which is the hardest for a planner.
enum class TimeLimits { whole_hours, all_different };

Duration some_limit(TimeLimits limits) {
  return limits == TimeLimits::whole_hours ? hours(std::int64_t{1} << random_between(0, 5)) : milliseconds(random_between(60'000, 86'400'000));
}

const char* in_words(TimeLimits limits) { return limits == TimeLimits::whole_hours ? "limits of whole hours" : "all limits different"; }

/// With a command, a folder and the names of an environment, as people submit them.
JobSubmitted submission(const core::Scheduler& scheduler, std::int64_t gpus, const std::string& key, TimeLimits limits) {
  JobSubmitted event{.job = JobId{scheduler.state().next_job}, .spec = {}, .environment_names = {}, .request_key = key, .actor = alice};
  event.spec.name = "train.py";
  event.spec.account = "default";
  event.spec.partition = "main";
  event.spec.qos = "normal";
  event.spec.resources.gpus = gpus;
  event.spec.time_limit_ms = some_limit(limits);
  event.spec.command = {"python", "train.py", "--config", "configs/run-" + std::to_string(random_between(1, 999)) + ".yaml"};
  event.spec.working_directory = "/home/alice/experiments/large";
  for (int name = 10; name < 30; ++name) event.environment_names.push_back("BENCH_VARIABLE_" + std::to_string(name));
  return event;
}

std::int64_t some_gpus(std::int64_t gpus) {
  const std::int64_t kind = random_between(1, 100);
  return kind <= 50 ? random_between(1, 4) : kind <= 80 ? 8 : kind <= 95 ? random_between(9, 32) : gpus;
}

/// Nodes of 8 GPUs, all of them taken by jobs of 4 GPUs.
core::Scheduler full_cluster(int nodes, TimeLimits limits) {
  core::Scheduler scheduler;
  const Time now{1'000'000};
  ClusterConfig cluster;
  for (int node = 1; node <= nodes; ++node) cluster.nodes.push_back({.name = "node" + std::to_string(10'000 + node), .gpus = 8});
  cluster.partitions.push_back({.name = "main"});
  scheduler.apply(now, ClusterConfigured{cluster, {}});
  for (const NodeConfig& node : cluster.nodes) scheduler.apply(now, NodeJoined{node.name, "boot", "", "", {}});
  for (int job = 0; job < 2 * nodes; ++job) scheduler.apply(now, submission(scheduler, 4, "", limits));
  scheduler.apply(now, Round{now, core::planner_version, "", scheduler.decide(now)});
  return scheduler;
}

void fill(core::Scheduler& scheduler, int queued, std::int64_t gpus, TimeLimits limits) {
  for (int job = 0; job < queued; ++job) scheduler.apply(Time{1'000'000}, submission(scheduler, some_gpus(gpus), "", limits));
}

void print(const std::string& what, double value, const char* unit, double target, const std::string& more) {
  std::printf(R"({"what":"%s","value":%.6f,"unit":"%s","target":%.6f,"more":"%s"})" "\n", what.c_str(), value, unit, target, more.c_str());
  std::fflush(stdout);
}

double at(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<std::size_t>(static_cast<double>(values.size()) * share))];
}

std::string with_commas(int number) {
  std::string text = std::to_string(number);
  for (std::size_t place = text.size(); place > 3;) text.insert(place -= 3, ",");
  return text;
}

/// A plan of a scheduler that knows the state and nothing else: nothing kept from before helps.
void measure_plan(int nodes, int queued, double target_ms, int repeats, TimeLimits limits) {
  core::Scheduler scheduler = full_cluster(nodes, limits);
  fill(scheduler, queued, 8 * std::min(nodes, 128), limits);
  std::vector<double> times;
  std::size_t planned = 0;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    const core::Scheduler fresh(scheduler.state());
    const double start = cpu_ms();
    const Plan plan = fresh.plan(Time{1'000'000});
    times.push_back(cpu_ms() - start);
    planned = static_cast<std::size_t>(std::count_if(plan.jobs.begin(), plan.jobs.end(), [](const PlannedJob& job) { return job.start_ms.has_value(); }));
  }
  print("plan, " + with_commas(8 * nodes) + " GPUs, " + with_commas(queued) + " queued: median", at(times, 0.5), "ms", target_ms,
        with_commas(static_cast<int>(planned)) + " starts, " + in_words(limits));
}

/// One event, and what the scheduler then does before it can answer: apply, decide, apply the round.
void measure_decision(int queued, int events, TimeLimits limits) {
  core::Scheduler scheduler = full_cluster(8, limits);
  fill(scheduler, queued, 64, limits);
  Time now{1'000'000};
  std::set<JobId> running, waiting;
  for (const auto& [id, job] : scheduler.state().jobs) (is_active(job.state) ? running : waiting).insert(id);
  const auto any_of = [](const std::set<JobId>& jobs) { return *std::next(jobs.begin(), random_between(0, static_cast<std::int64_t>(jobs.size()) - 1)); };
  scheduler.decide(now);
  std::vector<double> times;
  for (int event = 0; event < events; ++event) {
    now = now + milliseconds(random_between(1, 20'000));
    double start = cpu_ms();
    const int kind = event % 4;
    if (kind == 0) {
      waiting.insert(JobId{scheduler.state().next_job});
      const JobSubmitted submitted = submission(scheduler, some_gpus(64), "", limits);
      start = cpu_ms();
      scheduler.apply(now, submitted);
    } else if (kind == 1 || running.empty()) {
      const JobId job = any_of(waiting);
      waiting.erase(job);
      scheduler.apply(now, JobCancelled{job, alice});
    } else {
      const JobId job = any_of(running);
      running.erase(job);
      const Attempt& attempt = scheduler.state().jobs.at(job).attempts.back();
      if (!attempt.started_ms) {
        scheduler.apply(now, GangStarted{job, attempt.attempt, 1, {}});
        start = cpu_ms();
      }
      scheduler.apply(now, AttemptEnded{job, static_cast<std::int64_t>(scheduler.state().jobs.at(job).attempts.size()), Outcome::succeeded, {}});
    }
    const std::vector<Decision> decisions = scheduler.decide(now);
    if (!decisions.empty()) scheduler.apply(now, Round{now, core::planner_version, "", decisions});
    times.push_back(cpu_ms() - start);
    for (const Decision& decision : decisions)
      if (const auto* started = std::get_if<StartJob>(&decision)) {
        running.insert(started->job);
        waiting.erase(started->job);
      }
  }
  char more[100];
  std::snprintf(more, sizeof more, "p50 %.2f, most %.2f ms, %s", at(times, 0.5), at(times, 1), in_words(limits));
  print("decision after one event, " + with_commas(queued) + " queued: p99", at(times, 0.99), "ms", 10, more);
}

/// All that the scheduler holds more with these jobs than without: the state, and what it keeps of the plan.
void measure_heap(int queued) {
  core::Scheduler scheduler = full_cluster(8, TimeLimits::all_different);
  scheduler.decide(Time{1'000'000});
  const std::size_t before = heap_bytes;
  for (int job = 0; job < queued; ++job)
    scheduler.apply(Time{1'000'000}, submission(scheduler, some_gpus(64), "key-" + std::to_string(100'000 + job), TimeLimits::all_different));
  const std::size_t of_state = heap_bytes - before;
  scheduler.plan(Time{1'000'000});
  scheduler.decide(Time{1'000'000});
  const auto kib = [&](std::size_t bytes) { return static_cast<double>(bytes) / 1024 / queued; };
  char more[100];
  std::snprintf(more, sizeof more, "state %.2f, kept plan %.2f KiB; a Job is %zu bytes", kib(of_state), kib(heap_bytes - before - of_state), sizeof(Job));
  print("heap per queued job, " + with_commas(queued) + " queued", kib(heap_bytes - before), "KiB", 2, more);
}

}  // namespace

int main(int count, char** arguments) {
  std::set<std::string> words(arguments + 1, arguments + count);
  const bool quick = words.erase("--quick") > 0;
  const auto wanted = [&](const char* part) { return words.empty() || words.count(part) > 0; };
  const int tenth = quick ? 10 : 1;
  for (const TimeLimits limits : {TimeLimits::whole_hours, TimeLimits::all_different}) {
    if (wanted("plan")) {
      measure_plan(8, 10'000 / tenth, 50, 7, limits);
      measure_plan(8, 100'000 / tenth, 1000, 3, limits);
      measure_plan(1024, 10'000 / tenth, 2000, 3, limits);
    }
    if (wanted("decision")) measure_decision(10'000 / tenth, quick ? 400 : 2000, limits);
  }
  if (wanted("heap")) measure_heap(10'000);
  return 0;
}
