// What would let a job start sooner: over random queues every offer is sound, minimal and complete by brute force over the grid, and says whom it delays.
#include "scheduler/core/ways.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "scheduler/core/comparison.h"
#include "tests/unit/core/builders.h"
#include "tests/support/counts.h"

namespace ultramarine::core {
namespace {

std::vector<Way> ways(const Driver& driver, JobId job) { return ways_to_start(driver.scheduler, driver.scheduler.plan(driver.now), job, driver.now); }

const Way* of_kind(const std::vector<Way>& ways, WayKind kind) {
  const auto found = std::find_if(ways.begin(), ways.end(), [&](const Way& way) { return way.kind == kind; });
  return found == ways.end() ? nullptr : &*found;
}

/// Two nodes of four, one of them held for ten hours.
struct HalfHeld : ::testing::Test {
  Driver driver{cluster_of(2, 4)};
  JobId running = driver.submit(4, hours(10));
  void SetUp() override { ASSERT_EQ(driver.start_round(), std::vector<JobId>{running}); }
};

TEST_F(HalfHeld, FewerGpusAreASuggestionUnlessTheJobSaidThatItsProgramRunsOnThem) {
  JobSpec spec = spec_of({.gpus = 8}, hours(2));
  const JobId job = driver.submit(spec);
  const std::vector<Way> offers = ways(driver, job);
  const Way* size = of_kind(offers, WayKind::size);
  ASSERT_TRUE(size);
  EXPECT_EQ(size->change, (JobChange{.resources = Resources{.gpus = 4}}));
  EXPECT_EQ(size->start, driver.now);
  EXPECT_TRUE(size->is_suggestion);
  EXPECT_EQ(offers.size(), 1u) << "less time doesn't help who wants what is held";

  spec.min_gpus = 2;
  const std::vector<Way> of_modest = ways(driver, driver.submit(spec));
  ASSERT_TRUE(of_kind(of_modest, WayKind::size));
  EXPECT_FALSE(of_kind(of_modest, WayKind::size)->is_suggestion);

  spec.min_gpus = 6;
  const std::vector<Way> of_proud = ways(driver, driver.submit(spec));
  EXPECT_FALSE(of_kind(of_proud, WayKind::size)) << "fewer than it needs are of no use";
}

TEST_F(HalfHeld, LessTimeFitsBeforeWhoIsAhead) {
  driver.submit(8, hours(1));  // planned in ten hours
  const JobId job = driver.submit(2, hours(30));
  const std::vector<Way> offers = ways(driver, job);
  const Way* time = of_kind(offers, WayKind::time);
  ASSERT_TRUE(time);
  EXPECT_EQ(time->start, driver.now);
  EXPECT_EQ(time->change, (JobChange{.time_limit_ms = hours(10)})) << "as long as the hole: both have the same allowance";
  EXPECT_TRUE(time->delayed.empty());
}

TEST_F(HalfHeld, AnotherShapeWhereGpusAreScattered) {
  driver.end(running);
  const JobId first = driver.submit(2, 2, hours(10));  // two on each node
  ASSERT_EQ(driver.start_round(), std::vector<JobId>{first});
  const JobId job = driver.submit(4, hours(1));
  EXPECT_EQ(driver.planned(job).reason.code, ReasonCode::fragmentation);
  const std::vector<Way> offers = ways(driver, job);
  ASSERT_FALSE(offers.empty());
  EXPECT_EQ(offers.front().kind, WayKind::shape);
  EXPECT_EQ(offers.front().change, (JobChange{.resources = Resources{.nodes = 2, .gpus_per_node = 2}}));
}

TEST_F(HalfHeld, OtherNodesThanThoseItWants) {
  JobSpec spec = spec_of({.gpus = 2}, hours(1));
  spec.only_nodes = {driver.attempt(running).allocation.front().node};
  const JobId job = driver.submit(spec);
  const std::vector<Way> offers = ways(driver, job);
  const Way* nodes = of_kind(offers, WayKind::nodes);
  ASSERT_TRUE(nodes);
  EXPECT_TRUE(nodes->change.only_nodes->empty());
}

TEST_F(HalfHeld, WhoWaitsForSomethingElseThanHisTurnHasNoWay) {
  const JobId held = driver.submit(8, hours(1));
  driver.apply(JobHeld{held, HoldKind::user, "", ada});
  const JobId dependent = driver.submit_after(running, DependencyCondition::ok, spec_of({.gpus = 8}, hours(1)));
  JobSpec later = spec_of({.gpus = 8}, hours(1));
  later.begin_ms = driver.now + hours(20);
  const JobId dated = driver.submit(later);
  for (const JobId job : {held, dependent, dated, running}) EXPECT_TRUE(ways(driver, job).empty()) << job.value;
}

// ---- by brute force

ClusterConfig labs(Random& random) {
  ClusterConfig cluster = cluster_of(random.between(1, 3), random.between(1, 5));
  cluster.accounts = {{.name = "default", .members = {"*"}}, {.name = "lab", .members = {"*"}}};
  if (random.chance(300)) cluster.accounts[1].limits.gpus = random.between(1, 6);
  if (random.chance(200)) cluster.accounts[0].limits.gpus_soft = random.between(1, 4);
  if (random.chance(300)) cluster.partitions.push_back({.name = "quick", .priority = 10});
  if (random.chance(300)) cluster.qos.push_back({.name = "urgent", .priority = 100});
  return cluster;
}

PolicyConfig random_policy_for_ways(Random& random) {
  PolicyConfig policy;
  policy.launch_allowance_ms = seconds(random.between(0, 5));
  if (random.chance(600)) {
    policy.order = "multifactor";
    policy.weights = {{"age", 1000}, {"fair_share", 500}, {"size", random.between(0, 3000)}, {"qos", 800}, {"partition", 700}};
    policy.size_favours = random.chance(500) ? "lanes" : random.chance(500) ? "small" : "short";
    policy.express_gpu_hours = 1;
    policy.long_limit_ms = hours(2);
  }
  if (random.chance(250)) policy.backfill = random.chance(500) ? "easy" : random.chance(500) ? "skip" : "none";
  return policy;
}

Driver random_queue(Random& random) {
  const ClusterConfig cluster = labs(random);
  std::int64_t total = 0;
  for (const NodeConfig& node : cluster.nodes) total += node.gpus;
  Driver driver(cluster, random_policy_for_ways(random));
  const auto submit = [&] {
    JobSpec spec = spec_of({.gpus = random.between(1, total)}, minutes(random.between(1, random.chance(500) ? 20 : 170)));
    if (random.chance(250)) spec.resources = {.nodes = random.between(1, static_cast<std::int64_t>(cluster.nodes.size())), .gpus_per_node = random.between(1, cluster.nodes[0].gpus)};
    if (random.chance(200)) spec.min_gpus = random.between(1, total_gpus(spec.resources));
    if (random.chance(150)) spec.only_nodes = {"node1"};
    if (random.chance(150)) spec.account = "lab";
    const auto accepted = driver.scheduler.accept(spec, ada, driver.now);
    if (const auto* complete = std::get_if<Accepted>(&accepted)) driver.submit(complete->spec);
  };
  for (std::int64_t i = random.between(1, 6); i > 0; --i) submit();
  for (std::int64_t i = random.between(1, 3); i > 0; --i) {
    for (const JobId id : driver.start_round()) driver.run(id);
    driver.now = driver.now + minutes(random.between(0, 30));
  }
  for (std::int64_t i = random.between(1, 7); i > 0; --i) submit();
  while (!driver.start_round().empty()) {
  }
  return driver;
}

std::optional<Time> start_in(const Plan& plan, JobId job) {
  for (const PlannedJob& line : plan.jobs)
    if (line.job == job) return line.start_ms;
  return std::nullopt;
}

/// What becomes of the job, and of everybody else, with the change: on a scheduler of its own.
struct Tried {
  Scheduler scheduler;
  Plan plan;
};
Tried tried(const Driver& driver, JobId job, const JobChange& change) {
  Scheduler changed(driver.scheduler.state());
  changed.apply(driver.now, JobEdited{job, change, ada});
  Plan plan = changed.plan(driver.now);
  return {std::move(changed), std::move(plan)};
}

bool starts_at_once(const Tried& tried, Time now, JobId job) {
  for (const Decision& decision : tried.scheduler.decide(now))
    if (const auto* start = std::get_if<StartJob>(&decision); start && start->job == job) return true;
  return false;
}

void check(const Driver& driver, const PlannedJob& line, const Plan& before) {
  const Job& job = driver.job(line.job);
  const Time now = driver.now;
  const std::vector<Variant> variants = variants_of(driver.scheduler, job, now);
  std::vector<Tried> outcomes;
  std::vector<Job> copies;
  for (const Variant& variant : variants) {
    outcomes.push_back(tried(driver, line.job, variant.change));
    copies.push_back(job);
    copies.back().spec = variant.spec;
  }
  const auto& accounts = driver.scheduler.state().cluster.accounts;
  const bool has_shares = std::any_of(accounts.begin(), accounts.end(), [](const AccountConfig& one) { return one.limits.gpus_soft || one.limits.gpus_floor; });
  if (plans_everybody(driver.scheduler.state()) && !has_shares) {
    const auto probed = driver.scheduler.probe(now, line.job, copies);
    for (std::size_t i = 0; i < variants.size(); ++i) EXPECT_EQ(probed[i], start_in(outcomes[i].plan, line.job)) << "variant " << i;
  }
  const std::vector<Way> offers = ways_to_start(driver.scheduler, before, line.job, now);
  EXPECT_LE(offers.size(), ways_max);
  for (const Way& way : offers) {
    const auto its = std::find_if(variants.begin(), variants.end(), [&](const Variant& one) { return one.kind == way.kind && one.change == way.change; });
    ASSERT_NE(its, variants.end()) << "it is on the grid";
    const Tried& outcome = outcomes[static_cast<std::size_t>(its - variants.begin())];
    EXPECT_EQ(way.start, start_in(outcome.plan, line.job)) << "sound";
    EXPECT_EQ(starts_at_once(outcome, now, line.job), way.start == now) << "sound, by the next round";
    EXPECT_TRUE(way.start == now || !line.start_ms || way.start + minutes(1) <= *line.start_ms);
    EXPECT_EQ(way.is_suggestion, total_gpus(its->spec.resources) < total_gpus(job.spec.resources) && job.spec.min_gpus == 0);
    EXPECT_GE(total_gpus(its->spec.resources), std::min(job.spec.min_gpus, total_gpus(job.spec.resources)));
    std::map<JobId, Time> later;
    for (const PlannedJob& other : before.jobs)
      if (const auto start = start_in(outcome.plan, other.job); other.job != line.job && other.start_ms && start > other.start_ms) later[other.job] = *start;
    std::map<JobId, Time> said;
    for (const MovedStart& moved : way.delayed)
      if (moved.after_ms && moved.before_ms) said[moved.job] = *moved.after_ms;
    EXPECT_EQ(said, later) << "who is delayed is said";
    if (way.start != now || way.kind == WayKind::size_and_time || has_shares) continue;
    for (auto smaller = variants.begin(); smaller != its; ++smaller) {
      if (smaller->kind == way.kind) {
        EXPECT_FALSE(start_in(outcomes[static_cast<std::size_t>(smaller - variants.begin())].plan, line.job) == now) << "minimal: a smaller step would do";
      }
    }
  }
  if (offers.size() == ways_max || has_shares) return;
  for (const WayKind kind : {WayKind::shape, WayKind::time, WayKind::size, WayKind::nodes, WayKind::partition, WayKind::qos}) {
    bool any_now = false, any_sooner = false;
    for (std::size_t i = 0; i < variants.size(); ++i) {
      if (variants[i].kind != kind) continue;
      const auto start = start_in(outcomes[i].plan, line.job);
      any_now = any_now || start == now;
      any_sooner = any_sooner || (start && (!line.start_ms || *start + minutes(1) <= *line.start_ms));
    }
    const Way* offered = of_kind(offers, kind);
    EXPECT_EQ(offered && offered->start == now, any_now) << "complete: what starts it now, kind " << static_cast<int>(kind);
    EXPECT_EQ(offered != nullptr, any_now || any_sooner) << "complete: what starts it sooner, kind " << static_cast<int>(kind);
  }
}

TEST(Ways, AreSoundMinimalAndCompleteInRandomQueues) {
  const std::uint64_t cases = tests::cases(200, 4'000);
  std::size_t jobs = 0, offers = 0;
  for (std::uint64_t seed = 1; seed <= cases; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    const Driver driver = random_queue(random);
    const Plan plan = driver.scheduler.plan(driver.now);
    std::size_t looked_at = 0;
    for (const PlannedJob& line : plan.jobs) {
      if (driver.state(line.job) != JobState::queued || line.start_ms == driver.now || looked_at == 3) continue;
      ++looked_at;
      check(driver, line, plan);
      offers += ways_to_start(driver.scheduler, plan, line.job, driver.now).size();
    }
    jobs += looked_at;
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GT(jobs, cases);
  EXPECT_GT(offers, cases) << "or it looked at nothing";
  std::printf("%zu jobs, %zu offers\n", jobs, offers);
}

}  // namespace
}  // namespace ultramarine::core
