// Boosts and their bills: who is ahead and for how long, and that the delays that a bill names are those that come true.
#include "scheduler/core/comparison.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "scheduler/core/order.h"
#include "scheduler/core/planner.h"
#include "tests/unit/core/builders.h"

namespace ultramarine::core {
namespace {

std::vector<JobId> order_of(const Driver& driver) {
  std::vector<JobId> jobs;
  for (const PlannedJob& line : driver.scheduler.plan(driver.now).jobs) jobs.push_back(line.job);
  return jobs;
}

TEST(Boost, IsAheadOfAllUntilItIsOver) {
  Driver driver(cluster_of(1, 4));
  const JobId running = driver.submit(4, hours(1));
  driver.start_round();
  const JobId first = driver.submit(4, hours(1)), second = driver.submit(4, hours(1)), third = driver.submit(4, hours(1));
  driver.apply(JobBoosted{third, 1, driver.now + minutes(30), ada});
  EXPECT_EQ(order_of(driver), (std::vector<JobId>{third, first, second}));
  driver.apply(JobBoosted{second, 2, driver.now + hours(3), ada});
  EXPECT_EQ(order_of(driver), (std::vector<JobId>{third, second, first})) << "among themselves by their bills";
  EXPECT_EQ(driver.scheduler.next_wakeup(driver.now), driver.now + minutes(30)) << "then the order is another";
  driver.now = driver.now + minutes(30);
  EXPECT_EQ(order_of(driver), (std::vector<JobId>{second, first, third}));
  EXPECT_EQ(order_of(driver), [&] {
    Scheduler anew(driver.scheduler.state());
    std::vector<JobId> jobs;
    for (const PlannedJob& line : anew.plan(driver.now).jobs) jobs.push_back(line.job);
    return jobs;
  }()) << "a new scheduler says the same";
  driver.end(running);
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{second});
  EXPECT_FALSE(driver.job(second).boost) << "its start ends it";
}

TEST(Boost, IsAheadOfFloorsAndOwnTurns) {
  ClusterConfig cluster = cluster_of(1, 4);
  cluster.accounts.push_back({.name = "lab", .members = {"*"}, .limits = {.gpus_floor = 4}});
  cluster.accounts[0].limits.gpus_soft = 1;
  Driver driver(cluster);
  driver.submit(4, hours(1));
  driver.start_round();
  JobSpec of_lab = spec_of({.gpus = 4}, hours(1));
  of_lab.account = "lab";
  const JobId floor = driver.submit(of_lab), one = driver.submit(4, hours(1)), two = driver.submit(4, hours(1));
  driver.apply(JobsReordered{{two, one}, ada});
  EXPECT_EQ(order_of(driver), (std::vector<JobId>{floor, two, one}));
  driver.apply(JobBoosted{one, 1, driver.now + hours(9), ada});
  EXPECT_EQ(order_of(driver), (std::vector<JobId>{one, floor, two})) << "the boost is this job's, and no other's of its owner";
}

TEST(Comparison, OfABoostOfWhoIsFirstAlreadyIsEmpty) {
  Driver driver(cluster_of(1, 4));
  driver.submit(4, hours(1));
  driver.start_round();
  const JobId first = driver.submit(4, hours(1));
  driver.submit(4, hours(2));
  const Comparison found = compare(driver.scheduler, driver.now, {JobBoosted{first, 1, driver.now + hours(9), ada}}, {first});
  EXPECT_TRUE(found.delayed.empty());
  EXPECT_TRUE(found.helped.empty());
  EXPECT_EQ(found.displaced_gpu_ms, 0);
}

TEST(Comparison, SumsDelaysAndShares) {
  ClusterConfig cluster = cluster_of(1, 4);
  cluster.accounts.push_back({.name = "lab", .members = {"*"}});
  Driver driver(cluster, {.launch_allowance_ms = Duration{0}});
  driver.submit(4, hours(1));
  driver.start_round();
  const JobId first = driver.submit(4, hours(100));
  JobSpec spec = spec_of({.gpus = 4}, hours(100));
  spec.account = "lab";
  const JobId second = driver.submit(spec);
  const Comparison found = compare(driver.scheduler, driver.now, {JobBoosted{second, 1, driver.now + hours(9), ada}}, {second});
  ASSERT_EQ(found.delayed.size(), 1u);
  EXPECT_EQ(found.delayed[0].job, first);
  EXPECT_EQ(found.delayed[0].before_ms, driver.now + hours(1));
  EXPECT_EQ(found.delayed[0].after_ms, driver.now + hours(101));
  EXPECT_EQ(found.displaced_gpu_ms, 4 * hours(100).ms);
  // Of 168 hours: one runs, 100 of the first, 67 of the second; then the other way round.
  ASSERT_EQ(found.shares.size(), 2u);
  EXPECT_EQ(found.shares[0], (ShareOfWeek{"default", 601, 405}));
  EXPECT_EQ(found.shares[1], (ShareOfWeek{"lab", 399, 595}));
}

/// Runs everything to its end, each job for exactly its limit; returns when each was decided to start.
std::map<JobId, Time> played(Driver driver) {
  std::map<JobId, Time> starts;
  for (int guard = 0; guard < 10'000; ++guard) {
    for (const JobId id : driver.start_round()) starts[id] = driver.now;
    std::optional<Time> next;
    for (const auto& [id, job] : driver.scheduler.state().jobs)
      if (is_active(job.state)) {
        const Time end = job.attempts.back().decided_ms + longest_stay(job.spec, driver.scheduler.state().policy);
        if (!next || end < *next) next = end;
      }
    if (!next) return starts;
    driver.now = *next;
    std::vector<JobId> over;
    for (const auto& [id, job] : driver.scheduler.state().jobs)
      if (is_active(job.state) && job.attempts.back().decided_ms + longest_stay(job.spec, driver.scheduler.state().policy) == *next) over.push_back(id);
    for (const JobId id : over) driver.end(id);
  }
  ADD_FAILURE() << "it never ends";
  return starts;
}

TEST(Comparison, PredictsWhatTwoRunsShow) {
  std::size_t delays = 0;
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    Driver driver(cluster_of(random.between(1, 4), random.between(1, 6)));
    const std::int64_t largest = static_cast<std::int64_t>(driver.scheduler.state().cluster.nodes.size()) * driver.scheduler.state().cluster.nodes[0].gpus;
    for (std::int64_t i = random.between(4, 14); i > 0; --i) driver.submit(random.between(1, largest), minutes(random.between(1, 90)));
    driver.start_round();
    std::vector<JobId> waiting = order_of(driver);
    if (waiting.empty()) continue;
    const JobId chosen = waiting[static_cast<std::size_t>(random.between(0, static_cast<std::int64_t>(waiting.size()) - 1))];
    const JobBoosted boost{chosen, 1, driver.now + hours(1000), ada};
    const Comparison bill = compare(driver.scheduler, driver.now, {boost}, {chosen});
    const std::map<JobId, Time> without = played(driver);
    Driver boosted = driver;
    boosted.apply(boost);
    const std::map<JobId, Time> with = played(boosted);
    std::map<JobId, std::int64_t> observed, predicted;
    for (const auto& [job, start] : without)
      if (job != chosen && with.at(job) != start) observed[job] = (with.at(job) - start).ms;
    for (const auto* moves : {&bill.delayed, &bill.helped})
      for (const MovedStart& moved : *moves) predicted[moved.job] = (*moved.after_ms - *moved.before_ms).ms;
    EXPECT_EQ(predicted, observed);
    delays += bill.delayed.size();
    std::int64_t displaced = 0;
    for (const MovedStart& moved : bill.delayed) displaced += total_gpus(driver.job(moved.job).spec.resources) * observed.at(moved.job);
    EXPECT_EQ(bill.displaced_gpu_ms, displaced);
  }
  EXPECT_GT(delays, 50u) << "or it looked at nothing";
}

}  // namespace
}  // namespace ultramarine::core
