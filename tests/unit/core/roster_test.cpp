// What is kept between rounds changes no answer: after every event of a random walk, a scheduler that saw all events says what one says that is
// made anew from the state.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/core/builders.h"
#include "tests/support/counts.h"

namespace ultramarine::core {
namespace {

ClusterConfig random_cluster(Random& random) {
  ClusterConfig cluster = cluster_of(random.between(1, 4), random.between(1, 6));
  cluster.partitions.push_back({.name = "debug", .nodes = {"node1"}, .priority = 5});
  cluster.accounts.push_back({.name = "lab", .members = {"*"}});
  if (random.chance(300)) cluster.accounts.back().limits.gpus = random.between(1, 6);
  if (random.chance(300)) cluster.accounts.back().limits.gpus_soft = random.between(1, 4);
  if (random.chance(200)) cluster.accounts.front().limits.gpus_floor = random.between(1, 4);
  return cluster;
}

PolicyConfig random_policy(Random& random) {
  PolicyConfig policy;
  const char* const orders[] = {"submit_time", "multifactor", "shortest", "least_remaining"};
  const char* const backfills[] = {"conservative", "conservative", "none", "skip", "easy", "easy_sjf"};
  policy.order = orders[random.between(0, 3)];
  policy.backfill = backfills[random.between(0, 5)];
  if (random.chance(300)) policy.placement = "pack";
  policy.weights = {{"age", 1000}, {"fair_share", 2000}, {"size", 500}, {"partition", 100}};
  policy.priority_interval_ms = seconds(10);
  policy.max_age_ms = seconds(100);
  if (random.chance(400)) policy.patience_ms = seconds(random.between(5, 60));
  return policy;
}

class Walk {
 public:
  explicit Walk(Random& random) : random_(random), driver_(random_cluster(random), random_policy(random)) {}

  void step() {
    driver_.now = driver_.now + seconds(random_.between(0, 8));
    const auto waiting = jobs([](const Job& job) { return job.state == JobState::queued || job.state == JobState::held; });
    const auto active = jobs([](const Job& job) { return is_active(job.state); });
    const std::int64_t kind = random_.between(1, 100);
    if (kind <= 35) submit();
    else if (kind <= 55) driver_.round();
    else if (kind <= 70 && !active.empty()) end(any_of(active));
    else if (kind <= 73 && !active.empty()) driver_.apply(JobRequeued{any_of(active), ada});
    else if (kind <= 77 && !waiting.empty()) driver_.apply(JobCancelled{any_of(waiting), ada});
    else if (kind <= 80 && !waiting.empty()) driver_.apply(JobHeld{any_of(waiting), HoldKind::user, "later", ada});
    else if (kind <= 83 && !waiting.empty()) driver_.apply(JobReleased{any_of(waiting), ada});
    else if (kind <= 85 && waiting.size() > 1) driver_.apply(JobsReordered{{waiting.back(), waiting.front()}, ada});
    else if (kind <= 88) driver_.apply(NodeSuspected{"node1", {}});
    else if (kind <= 93) driver_.join("node1");
    else if (kind <= 95) reserve();
    else if (kind <= 97) driver_.apply(ReservationEnded{"course", ada});
    else if (kind <= 98) driver_.apply(PolicyChanged{random_policy(random_), ada});
    else if (!active.empty() && driver_.state(active.front()) == JobState::starting) driver_.run(active.front());
  }

  void compare() const {
    const Scheduler anew(driver_.scheduler.state());
    ASSERT_EQ(driver_.scheduler.decide(driver_.now), anew.decide(driver_.now));
    ASSERT_EQ(driver_.scheduler.plan(driver_.now), anew.plan(driver_.now));
    ASSERT_EQ(driver_.scheduler.next_wakeup(driver_.now), anew.next_wakeup(driver_.now));
    compare_starts_with_plan();
  }

 private:
  /// To decide, not everybody is planned.
  void compare_starts_with_plan() const {
    std::map<JobId, std::pair<Allocation, bool>> planned, chosen;
    for (const PlannedJob& line : driver_.scheduler.plan(driver_.now).jobs)
      if (line.start_ms == driver_.now) planned[line.job] = {line.allocation, line.backfilled};
    for (const Decision& decision : driver_.scheduler.decide(driver_.now))
      if (const auto* const start = std::get_if<StartJob>(&decision)) chosen[start->job] = {start->allocation, start->backfilled};
    ASSERT_EQ(planned, chosen);
  }

  template <class Which>
  std::vector<JobId> jobs(Which which) const {
    std::vector<JobId> ids;
    for (const auto& [id, job] : driver_.scheduler.state().jobs)
      if (which(job)) ids.push_back(id);
    return ids;
  }
  JobId any_of(const std::vector<JobId>& ids) { return ids[static_cast<std::size_t>(random_.between(0, static_cast<std::int64_t>(ids.size()) - 1))]; }

  void submit() {
    const ClusterConfig& cluster = driver_.scheduler.state().cluster;
    const std::int64_t nodes = static_cast<std::int64_t>(cluster.nodes.size()), gpus = cluster.nodes.front().gpus;
    JobSpec spec = spec_of({.gpus = random_.between(1, random_.chance(700) ? gpus : nodes * gpus)}, seconds(random_.between(1, 60)));
    if (random_.chance(300)) spec.account = "lab";
    if (random_.chance(150)) spec.partition = "debug";
    if (random_.chance(100)) spec.begin_ms = driver_.now + seconds(random_.between(1, 40));
    if (random_.chance(100)) spec.deadline_ms = driver_.now + spec.time_limit_ms + seconds(random_.between(0, 60));
    if (random_.chance(100)) spec.exclusive = true;
    if (random_.chance(100) && driver_.scheduler.state().next_job > 1)
      spec.dependencies = {{JobId{random_.between(1, driver_.scheduler.state().next_job - 1)}, DependencyCondition::any}};
    if (random_.chance(150)) driver_.submit_array(spec, random_.between(1, 4), random_.between(0, 2));
    else driver_.submit(spec);
  }

  void end(JobId id) {
    const bool is_asked_to = driver_.job(id).stop_cause == StopCause::requeued;
    driver_.end(id, is_asked_to ? Outcome::preempted : Outcome::succeeded);
  }

  void reserve() {
    Reservation reservation{.name = "course", .nodes = {"node1"}, .start_ms = driver_.now + seconds(random_.between(1, 30)), .reason = "a course", .actor = ada};
    reservation.end_ms = reservation.start_ms + seconds(random_.between(1, 60));
    driver_.apply(ReservationMade{reservation, ada});
  }

  Random& random_;
  Driver driver_;
};

const std::uint64_t walks = tests::cases(60, 2000);

TEST(Roster, WhatIsKeptBetweenRoundsChangesNoAnswer) {
  for (std::uint64_t seed = 1; seed <= walks; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    Walk walk(random);
    for (int step = 0; step < 80; ++step) {
      SCOPED_TRACE("step " + std::to_string(step));
      walk.step();
      walk.compare();
      if (HasFailure()) return;
    }
  }
}

TEST(Roster, ACopyOfASchedulerGoesItsOwnWay) {
  Driver driver(cluster_of(1, 8));
  driver.submit(8, hours(1));
  Driver copy = driver;
  driver.round();
  const JobId second = copy.submit(4, hours(1));
  EXPECT_EQ(copy.start_in_ms(second), 3'605'000);
  EXPECT_TRUE(driver.scheduler.plan(driver.now).jobs.empty());
}

}  // namespace
}  // namespace ultramarine::core
