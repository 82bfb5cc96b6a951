// What a priority is made of, and that the order is the one that these numbers tell.
#include "scheduler/core/priority.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "scheduler/core/order.h"
#include "tests/unit/core/builders.h"

namespace ultramarine::core {
namespace {

PolicyConfig by_priority(std::map<std::string, std::int64_t> weights) {
  PolicyConfig policy;
  policy.order = "multifactor";
  policy.weights = std::move(weights);
  policy.priority_interval_ms = minutes(1);
  policy.max_age_ms = hours(10);
  return policy;
}

JobPriority priority_of(const Driver& driver, JobId job) { return Priorities(driver.scheduler.state(), driver.now).of(driver.job(job)); }

std::vector<JobId> planned_order(const Driver& driver) {
  std::vector<JobId> jobs;
  for (const PlannedJob& line : driver.scheduler.plan(driver.now).jobs) jobs.push_back(line.job);
  return jobs;
}

TEST(Priority, IsTheSumOfWeightedFactorsLessNice) {
  ClusterConfig cluster = cluster_of(2, 8);
  cluster.qos = {{.name = "normal", .priority = 10}, {.name = "urgent", .priority = 40}, {.name = "scavenger", .priority = -10}};
  cluster.partitions[0].priority = 3;
  cluster.partitions.push_back({.name = "other", .priority = 4});
  cluster.accounts[0].priority = 5;
  Driver driver(cluster, by_priority({{"age", 1000}, {"fair_share", 100}, {"size", 160}, {"qos", 50}, {"partition", 8}, {"account", 7}}));
  driver.now = {hours(1).ms};
  JobSpec spec = spec_of({.gpus = 4}, hours(1));
  spec.nice = 11;
  const JobId job = driver.submit(spec);
  driver.now = {hours(3).ms + 59'000};
  const JobPriority priority = priority_of(driver, job);
  EXPECT_EQ(priority.waits_since_ms, Time{hours(1).ms});
  EXPECT_EQ(priority.factors, (PriorityFactors{.age = factor_one / 5, .fair_share = factor_one, .size = factor_one / 4 * 3, .qos = factor_one / 5 * 2,
                                               .partition = factor_one / 4 * 3, .account = factor_one}));
  EXPECT_EQ(priority.weighted, (PriorityFactors{.age = 200, .fair_share = 100, .size = 120, .qos = 20, .partition = 6, .account = 7}));
  EXPECT_EQ(priority.priority, 200 + 100 + 120 + 20 + 6 + 7 - 11);
  EXPECT_FALSE(priority.waited_max_age);
}

TEST(Priority, SizeFavoursWhatThePolicySays) {
  ClusterConfig cluster = cluster_of(2, 8);
  cluster.partitions[0].max_time_ms = hours(16);
  PolicyConfig policy = by_priority({});
  const auto size = [&](const char* favours, std::int64_t gpus, Duration limit) {
    policy.size_favours = favours;
    Driver driver(cluster, policy);
    return priority_of(driver, driver.submit(gpus, limit)).factors.size;
  };
  EXPECT_EQ(size("small", 1, hours(1)), factor_one / 16 * 15);
  EXPECT_EQ(size("small", 16, hours(1)), 0);
  EXPECT_EQ(size("large", 16, hours(1)), factor_one);
  EXPECT_EQ(size("large", 4, hours(1)), factor_one / 4);
  // In doublings: from 1 GPU-second to 16 x 57,600 of them are 19.81; twice the time or twice the GPUs is one of those.
  EXPECT_EQ(size("short", 1, seconds(1)), factor_one);
  EXPECT_EQ(size("short", 16, hours(16)), 0);
  EXPECT_EQ(size("short", 16, hours(99)), 0);
  EXPECT_EQ(size("short", 4, hours(1)), size("short", 1, hours(4)));
  const std::int64_t doubling = size("short", 1, hours(1)) - size("short", 2, hours(1));
  EXPECT_NEAR(static_cast<double>(doubling), 1e9 / 19.813781, 3.0);
  EXPECT_NEAR(static_cast<double>(size("short", 1, hours(2)) - size("short", 1, hours(16))), 3.0 * static_cast<double>(doubling), 3.0);
}

TEST(Priority, ThreeLanesBySize) {
  PolicyConfig policy = by_priority({});
  policy.size_favours = "lanes";
  policy.express_gpu_hours = 4;
  policy.long_limit_ms = hours(10);
  policy.middle_lane_permille = 400;
  Driver driver(cluster_of(2, 8), policy);
  const auto size = [&](std::int64_t gpus, Duration length) { return priority_of(driver, driver.submit(gpus, length)).factors.size; };
  EXPECT_EQ(size(1, hours(4)), factor_one);
  EXPECT_EQ(size(16, minutes(15)), factor_one);
  EXPECT_EQ(size(1, hours(4) + seconds(1)), factor_one / 5 * 2);
  EXPECT_EQ(size(16, hours(10)), factor_one / 5 * 2);
  EXPECT_EQ(size(1, hours(10) + seconds(1)), 0);
}

TEST(Priority, AgeCountsFromWhenAJobCouldRun) {
  Driver driver(cluster_of(1, 8), by_priority({{"age", 10'000}}));
  driver.now = {0};
  const JobId first = driver.submit(8, hours(100));
  driver.round();
  driver.run(first);
  const JobId plain = driver.submit(1, hours(1));
  JobSpec later = spec_of({.gpus = 1}, hours(1));
  later.begin_ms = Time{hours(2).ms};
  const JobId begins = driver.submit(later);
  const JobId after = driver.submit_after(first, DependencyCondition::started, spec_of({.gpus = 1}, hours(1)));
  const JobId never = driver.submit_after(first, DependencyCondition::ok, spec_of({.gpus = 1}, hours(1)));
  const JobId held = driver.submit(1, hours(1));
  driver.apply(JobHeld{held, HoldKind::user, "", ada});
  driver.now = {hours(3).ms};
  driver.apply(JobReleased{held, ada});
  driver.now = {hours(4).ms};
  EXPECT_EQ(priority_of(driver, plain).priority, 4000);
  EXPECT_EQ(priority_of(driver, begins).priority, 2000);
  EXPECT_EQ(priority_of(driver, after).priority, 4000);  // what it depends on had come at once
  EXPECT_EQ(priority_of(driver, never).priority, 0);
  EXPECT_EQ(priority_of(driver, held).priority, 1000);
  driver.now = {hours(99).ms};
  EXPECT_EQ(priority_of(driver, plain).priority, 10'000);
  EXPECT_EQ(priority_of(driver, never).priority, 0);
}

TEST(Priority, WhoWaitedMaxAgeIsFirst) {
  // Whatever the weights and nice values say, and the oldest of them before the others.
  PolicyConfig policy = by_priority({{"size", 1'000'000}});
  policy.size_favours = "large";
  Driver driver(cluster_of(1, 8), policy);
  driver.now = {0};
  driver.submit(8, hours(100));
  driver.round();
  const JobId oldest = driver.submit(1, hours(1));
  driver.now = {minutes(5).ms};
  const JobId older = driver.submit(2, hours(1));
  driver.now = {minutes(10).ms};
  const JobId large = driver.submit(8, hours(1));
  EXPECT_EQ(planned_order(driver), (std::vector{large, older, oldest}));
  driver.now = {hours(10).ms};
  EXPECT_TRUE(priority_of(driver, oldest).waited_max_age);
  EXPECT_EQ(planned_order(driver), (std::vector{oldest, large, older}));
  driver.now = {hours(10).ms + minutes(5).ms + 59'999};
  EXPECT_EQ(planned_order(driver), (std::vector{oldest, older, large}));

  policy.first_after_max_age = false;
  driver.apply(PolicyChanged{policy, {}});
  EXPECT_EQ(planned_order(driver), (std::vector{large, older, oldest}));
}

TEST(Priority, TicksWakeTheScheduler) {
  // The order may change at a tick although nothing happens, so the daemon is to look again then.
  PolicyConfig policy = by_priority({{"age", 1}});
  Driver driver(cluster_of(1, 8), policy);
  driver.now = {hours(1).ms + 5};
  EXPECT_EQ(driver.scheduler.next_wakeup(driver.now), std::nullopt);  // nobody waits
  driver.submit(8, hours(100));
  driver.round();
  driver.submit(8, hours(100));
  EXPECT_EQ(driver.scheduler.next_wakeup(driver.now), Time{hours(1).ms + minutes(1).ms});
  policy.order = "submit_time";
  driver.apply(PolicyChanged{policy, {}});
  EXPECT_GT(driver.scheduler.next_wakeup(driver.now), Time{hours(100).ms});
}

TEST(Priority, ExtremesStayInRange) {
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max(), least = std::numeric_limits<std::int64_t>::min();
  ClusterConfig cluster = cluster_of(1, 8);
  cluster.qos = {{.name = "normal", .priority = most}, {.name = "low", .priority = least}};
  Driver driver(cluster, by_priority({{"age", most}, {"fair_share", most}, {"size", most}, {"qos", most}, {"partition", most}, {"account", most}}));
  JobSpec spec = spec_of({.gpus = 1}, hours(1));
  spec.nice = least;
  const JobId highest = driver.submit(spec);
  spec.qos = "low";
  spec.nice = most;
  const JobId lowest = driver.submit(spec);
  EXPECT_EQ(priority_of(driver, highest).priority, most);
  EXPECT_EQ(priority_of(driver, highest).factors.qos, factor_one);
  EXPECT_EQ(priority_of(driver, lowest).factors.qos, 0);
  EXPECT_GE(priority_of(driver, lowest).priority, 0);
  spec.nice = 5;
  driver.apply(PolicyChanged{by_priority({{"age", -7}}), {}});
  EXPECT_EQ(priority_of(driver, driver.submit(spec)).priority, 0);  // never less
}

TEST(Priority, TheOrderIsTheOneThatTheNumbersTell) {
  // Sorting what is shown gives the order of the plan, over random queues, and it does not matter in which order the jobs are given.
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    ClusterConfig cluster = cluster_of(2, 4);
    cluster.qos = {{.name = "normal"}, {.name = "urgent", .priority = 2}, {.name = "high", .priority = 1}};
    PolicyConfig policy = by_priority({{"age", random.between(0, 50)}, {"size", random.between(0, 50)}, {"qos", random.between(0, 50)}, {"fair_share", random.between(0, 50)}});
    policy.size_favours = random.chance(500) ? "short" : "small";
    policy.max_age_ms = minutes(random.between(20, 90));
    Driver driver(cluster, policy);
    driver.now = {0};
    for (int i = 0; i < 25; ++i) {
      JobSpec spec = spec_of({.gpus = random.between(1, 8)}, minutes(random.between(1, 200)));
      spec.qos = cluster.qos[static_cast<std::size_t>(random.between(0, 2))].name;
      spec.nice = random.between(-20, 20);
      driver.apply(JobSubmitted{{driver.scheduler.state().next_job}, spec, {}, "", random.chance(500) ? ada : bob});
      if (random.chance(200)) driver.round();
      driver.now = driver.now + minutes(random.between(0, 6));
    }
    std::vector<const Job*> waiting;
    std::vector<JobPriority> shown;
    const Priorities priorities(driver.scheduler.state(), driver.now);
    for (const auto& [id, job] : driver.scheduler.state().jobs) {
      if (job.state != JobState::queued) continue;
      waiting.push_back(&job);
      const JobPriority& line = shown.emplace_back(priorities.of(job));
      const PriorityFactors& part = line.weighted;
      EXPECT_EQ(line.priority, std::max<std::int64_t>(0, part.age + part.fair_share + part.size + part.qos + part.partition + part.account - line.nice));
    }
    std::sort(shown.begin(), shown.end(), [](const JobPriority& a, const JobPriority& b) {
      if (a.waited_max_age != b.waited_max_age) return a.waited_max_age;
      if (!a.waited_max_age && a.priority != b.priority) return a.priority > b.priority;
      return a.waits_since_ms != b.waits_since_ms ? a.waits_since_ms < b.waits_since_ms : a.job < b.job;
    });
    std::vector<JobId> expected;
    for (const JobPriority& line : shown) expected.push_back(line.job);
    EXPECT_EQ(planned_order(driver), expected);

    for (std::size_t i = waiting.size(); i > 1; --i) std::swap(waiting[i - 1], waiting[static_cast<std::size_t>(random.between(0, static_cast<std::int64_t>(i) - 1))]);
    std::vector<JobId> shuffled;
    ActiveJobs active;
    for (const auto& [id, job] : driver.scheduler.state().jobs)
      if (is_active(job.state)) active.emplace(id, &job);
    for (const Job* job : in_order(driver.scheduler.state(), waiting, policy::make_policies(driver.scheduler.state(), driver.now, active), driver.now)) shuffled.push_back(job->job);
    EXPECT_EQ(shuffled, expected);
  }
}

TEST(OwnTurns, JobsOfOneOwnerTakeEachOthersPlaces) {
  Driver driver(cluster_of(1, 8));
  driver.submit(8, hours(1));
  driver.round();
  const auto submit = [&](const Actor& who) {
    const JobId id{driver.scheduler.state().next_job};
    driver.apply(JobSubmitted{id, spec_of({.gpus = 8}, hours(1)), {}, "", who});
    return id;
  };
  const JobId a1 = submit(ada), b1 = submit(bob), a2 = submit(ada), a3 = submit(ada), b2 = submit(bob);
  driver.apply(JobsReordered{{a3, a1}, ada});
  EXPECT_EQ(planned_order(driver), (std::vector{a3, b1, a2, a1, b2}));
  driver.apply(JobsReordered{{a2, a3, a1}, ada});
  EXPECT_EQ(planned_order(driver), (std::vector{a2, b1, a3, a1, b2}));
  driver.apply(JobsReordered{{b2, b1}, bob});
  EXPECT_EQ(planned_order(driver), (std::vector{a2, b2, a3, a1, b1}));
}

TEST(OwnTurns, OtherAccountsPartitionsAndQosHaveTheirOwn) {
  Driver driver(cluster_of(1, 8));
  driver.submit(8, hours(1));
  driver.round();
  JobSpec spec = spec_of({.gpus = 8}, hours(1));
  const JobId first = driver.submit(spec);
  spec.qos = "urgent";
  const JobId urgent = driver.submit(spec);
  driver.apply(JobsReordered{{urgent, first}, ada});
  EXPECT_EQ(planned_order(driver), (std::vector{first, urgent}));
}

}  // namespace
}  // namespace ultramarine::core
