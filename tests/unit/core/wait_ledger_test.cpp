// The wait ledger: each cause by itself, and that the parts sum to the wait, to the millisecond, whatever happens.
#include "scheduler/core/wait_ledger.h"

#include <algorithm>

#include "tests/unit/core/builders.h"

namespace ultramarine::core {
namespace {

/// "running_job 2 of default 50000; hold (ada: wait) 10"
std::string in_words(const std::vector<WaitPart>& parts) {
  std::string words;
  for (const WaitPart& part : parts) {
    words += (words.empty() ? "" : "; ") + std::string(boost::describe::enum_to_string(part.cause, ""));
    if (part.job.value != 0) words += " " + std::to_string(part.job.value);
    if (!part.account.empty()) words += " of " + part.account;
    if (!part.detail.empty()) words += " (" + part.detail + ")";
    if (part.bill != 0) words += " bill " + std::to_string(part.bill);
    words += " " + std::to_string(part.time_ms.ms);
  }
  return words;
}

/// A cluster with its ledger beside it.
struct Watched {
  explicit Watched(std::int64_t nodes, std::int64_t gpus, const PolicyConfig& policy = {}) : Watched(cluster_of(nodes, gpus), policy) {}
  explicit Watched(const ClusterConfig& cluster, const PolicyConfig& policy = {}) : driver(cluster, policy), ledger(driver.scheduler.state(), driver.now) {}

  void apply(const Entry& entry) {
    look();
    driver.apply(entry);
    ledger.on_entry(driver.now, entry, driver.scheduler.state());
  }
  void look() {
    if (const auto at = ledger.looks_at(); at && *at < driver.now) ledger.on_plan(driver.scheduler.state(), driver.scheduler.plan(*at));
  }
  JobId submit(JobSpec spec, const std::string& account = "default") {
    const JobId id{driver.scheduler.state().next_job};
    spec.account = account;
    apply(JobSubmitted{id, spec, {}, "", ada});
    return id;
  }
  JobId submit(std::int64_t gpus, Duration limit, const std::string& account = "default") { return submit(spec_of({.gpus = gpus}, limit), account); }
  void round() {
    if (const auto decisions = driver.scheduler.decide(driver.now); !decisions.empty())
      apply(Round{driver.now, planner_version, driver.scheduler.policy_hash(), decisions});
  }
  JobId start(std::int64_t gpus, Duration limit, const std::string& account = "default") {
    const JobId id = submit(gpus, limit, account);
    round();
    EXPECT_EQ(driver.state(id), JobState::starting);
    return id;
  }
  void end(JobId job, Outcome outcome = Outcome::succeeded) {
    const std::int64_t attempt = driver.attempt(job).attempt;
    apply(GangFinished{job, attempt, 1, outcome, {}, {}});
    apply(AttemptEnded{job, attempt, outcome, {}});
  }
  void pass(Duration time) { driver.now = driver.now + time; }
  /// Ends the job, and a round later others run.
  void end_and_go_on(JobId job) {
    end(job);
    round();
  }
  std::vector<WaitPart> parts(JobId job) {
    look();
    const auto over = ledger.finished().find(job);
    auto parts = over == ledger.finished().end() ? ledger.parts_of(job, driver.now) : over->second.parts;
    EXPECT_EQ(sum_of(parts).ms, wait_of(driver.job(job), driver.now).ms) << "job " << job.value;
    return parts;
  }
  std::string said(JobId job) { return in_words(parts(job)); }

  Driver driver;
  WaitLedger ledger;
};

ClusterConfig with_labs(ClusterConfig cluster) {
  cluster.accounts.push_back({.name = "lab-a", .members = {"*"}});
  cluster.accounts.push_back({.name = "lab-b", .members = {"*"}});
  return cluster;
}

TEST(WaitLedger, WhoHoldsTheDevicesSinceBeforeIsWaitedFor) {
  Watched world(with_labs(cluster_of(1, 1)));
  const JobId first = world.start(1, hours(1), "lab-b");
  world.pass(seconds(7));
  const JobId second = world.submit(1, hours(1), "lab-a");
  world.pass(milliseconds(12'345));
  EXPECT_EQ(world.said(second), "running_job 1 of lab-b 12345");
  world.end_and_go_on(first);
  EXPECT_EQ(world.said(second), "running_job 1 of lab-b 12345");
  EXPECT_EQ(world.said(first), "");
}

TEST(WaitLedger, WhoGotTheDevicesMeanwhileIsAJobAhead) {
  Watched world(1, 1);
  const JobId first = world.start(1, hours(1)), second = world.submit(1, hours(1)), third = world.submit(1, hours(1));
  world.pass(seconds(10));
  world.end_and_go_on(first);
  world.pass(seconds(5));
  world.end_and_go_on(second);
  EXPECT_EQ(world.said(third), "running_job 1 of default 10000; job_ahead 2 of default 5000");
}

TEST(WaitLedger, FreeDevicesThatAreKeptForAJobAheadAreCharged) {
  // One of two is free, and kept for the wide job from when the first ends on; who could end before passes, who could not waits for the wide one.
  Watched world(1, 2);
  world.start(1, seconds(60));
  const JobId wide = world.submit(2, seconds(10)), narrow = world.submit(1, seconds(100));
  world.pass(seconds(3));
  EXPECT_EQ(world.said(narrow), "job_ahead 2 of default 3000");
  const JobId brief = world.submit(1, seconds(20));
  world.round();
  ASSERT_EQ(world.driver.state(brief), JobState::starting);
  world.pass(seconds(2));
  EXPECT_EQ(world.said(wide), "running_job 1 of default 5000") << "it doesn't wait for the one that was let pass";
}

TEST(WaitLedger, SeveralShareByTheirDevicesAndTheRestGoesToTheFirst) {
  Watched world(1, 3);
  world.submit(2, seconds(60));
  world.submit(1, seconds(60));
  world.round();
  const JobId third = world.submit(3, seconds(10));
  world.pass(milliseconds(1000));
  EXPECT_EQ(world.said(third), "running_job 1 of default 667; running_job 2 of default 333");
}

TEST(WaitLedger, OnlyTheLastToComeFreeKeepsAJobWaiting) {
  Watched world(1, 2);
  world.submit(1, seconds(60));
  world.submit(1, seconds(30));
  world.round();
  const JobId third = world.submit(2, seconds(10));
  world.pass(seconds(10));
  EXPECT_EQ(world.said(third), "running_job 1 of default 10000");
}

TEST(WaitLedger, AJobThatIsAheadByABoostIsNamedWithItsBill) {
  Watched world(with_labs(cluster_of(1, 1)));
  const JobId first = world.start(1, hours(1)), second = world.submit(1, hours(1), "lab-a"), third = world.submit(1, hours(1), "lab-b");
  world.pass(seconds(10));
  world.apply(FavourBilled{{.bill = 1, .favour = Favour::boost, .job = third, .reason = "deadline", .actor = bob, .at_ms = world.driver.now}, bob});
  world.apply(JobBoosted{third, 1, world.driver.now + hours(2), bob});
  world.pass(seconds(10));
  world.end_and_go_on(first);
  ASSERT_EQ(world.driver.state(third), JobState::starting);
  world.pass(seconds(30));
  world.end_and_go_on(third);
  EXPECT_EQ(world.said(second), "boost 3 of lab-b bill 1 30000; running_job 1 of default 20000");
  EXPECT_EQ(world.said(third), "running_job 1 of default 20000");
}

TEST(WaitLedger, ABoostThatChangesNothingIsNotToBlame) {
  Watched world(1, 1);
  const JobId first = world.start(1, hours(1)), second = world.submit(1, hours(1)), third = world.submit(1, hours(1));
  world.apply(FavourBilled{{.bill = 1, .favour = Favour::boost, .job = second, .reason = "early", .actor = bob, .at_ms = world.driver.now}, bob});
  world.apply(JobBoosted{second, 1, world.driver.now + hours(2), bob});
  world.pass(seconds(10));
  world.end_and_go_on(first);
  world.pass(seconds(30));
  world.end_and_go_on(second);
  EXPECT_EQ(world.said(third), "job_ahead 2 of default 30000; running_job 1 of default 10000");
}

TEST(WaitLedger, EnoughThatIsScatteredIsShape) {
  Watched world(2, 2);
  const JobId long_one = world.submit(spec_of({.nodes = 2, .gpus_per_node = 1}, seconds(60)));
  world.round();
  ASSERT_EQ(world.driver.state(long_one), JobState::starting);
  const JobId whole_node = world.submit(spec_of({.nodes = 1, .gpus_per_node = 2}, seconds(60)));
  world.pass(seconds(4));
  EXPECT_EQ(world.said(whole_node), "shape 4000");
}

TEST(WaitLedger, AHoldIsChargedFromItsFirstToItsLastMillisecond) {
  Watched world(1, 1);
  const JobId first = world.start(1, hours(1)), second = world.submit(1, hours(1));
  world.pass(milliseconds(1001));
  world.apply(JobHeld{second, HoldKind::admin, "wait for the data", bob});
  world.pass(milliseconds(17));
  world.apply(JobReleased{second, bob});
  world.pass(milliseconds(5));
  EXPECT_EQ(world.said(second), "running_job 1 of default 1006; hold (bob: wait for the data) 17");
  EXPECT_EQ(world.said(first), "");
}

TEST(WaitLedger, ADependencyADateAndALimitSayWhatTheyAre) {
  ClusterConfig cluster = with_labs(cluster_of(1, 4));
  cluster.accounts[1].limits.gpus = 1;
  Watched world(cluster);
  const JobId first = world.start(1, hours(1), "lab-a");
  const JobId capped = world.submit(1, hours(1), "lab-a");
  JobSpec depends = spec_of({.gpus = 1}, hours(1)), later = depends;
  depends.dependencies = {{first, DependencyCondition::ok}};
  later.begin_ms = world.driver.now + hours(1);
  const JobId dependent = world.submit(depends), dated = world.submit(later);
  world.round();
  world.pass(seconds(6));
  EXPECT_EQ(world.said(capped), "limit (account lab-a) 6000");
  EXPECT_EQ(world.said(dependent), "dependency 1 of lab-a 6000");
  EXPECT_EQ(world.said(dated), "begin_time 6000");
}

TEST(WaitLedger, AnArraysOwnLimitIsItsOwn) {
  Watched world(1, 4);
  JobSubmitted event{.job = {world.driver.scheduler.state().next_job}, .spec = spec_of({.gpus = 1}, hours(1)), .actor = ada, .array_limit = 1};
  event.array_indices = {0, 1};
  world.apply(event);
  world.round();
  world.pass(seconds(2));
  EXPECT_EQ(world.said(JobId{event.job.value + 1}), "array_limit 2000");
}

TEST(WaitLedger, ASoftCapIsWhoseItIs) {
  ClusterConfig cluster = with_labs(cluster_of(1, 4));
  cluster.accounts[1].limits.gpus_soft = 1;
  Watched world(cluster);
  world.start(1, hours(1), "lab-a");
  world.start(3, hours(1), "lab-b");
  const JobId borrower = world.submit(1, hours(1), "lab-a");
  world.pass(seconds(6));
  EXPECT_EQ(world.said(borrower), "soft_cap (account lab-a) 6000");
}

TEST(WaitLedger, AReservationHasAName) {
  Watched world(1, 2);
  Reservation reservation;
  reservation.name = "course";
  reservation.start_ms = world.driver.now + seconds(30);
  reservation.end_ms = world.driver.now + hours(1);
  reservation.nodes = {"node1"};
  world.apply(ReservationMade{reservation, bob});
  const JobId job = world.submit(1, minutes(10));
  world.pass(seconds(5));
  EXPECT_EQ(world.said(job), "reservation (course) 5000");
}

TEST(WaitLedger, NodesThatAreAwayAreNamedWithTheReason) {
  Watched world(2, 2);
  world.apply(NodeDrained{"node2", "bad memory", bob});
  const JobId wide = world.submit(4, hours(1));
  world.pass(seconds(9));
  EXPECT_EQ(world.said(wide), "nodes (node2 drained by bob: bad memory) 9000");
}

TEST(WaitLedger, WhatNoClusterCanRunIsImpossible) {
  Watched world(2, 2);
  const JobId wide = world.submit(4, hours(1));
  world.apply(ClusterConfigured{cluster_of(1, 2), {}});
  world.pass(seconds(9));
  EXPECT_EQ(world.said(wide), "impossible 9000");
}

TEST(WaitLedger, AnEarlierStartThanTheDeadlineAllows) {
  Watched world(1, 1);
  world.start(1, hours(2));
  JobSpec spec = spec_of({.gpus = 1}, hours(1));
  spec.deadline_ms = world.driver.now + minutes(90);
  const JobId job = world.submit(spec);
  world.pass(seconds(9));
  EXPECT_EQ(world.said(job), "deadline 9000");
}

TEST(WaitLedger, AllStaysOfAJobCount) {
  Watched world(1, 1);
  const JobId first = world.start(1, hours(1));
  JobSpec again = spec_of({.gpus = 1}, hours(1));
  again.max_restarts = 1;
  const JobId second = world.submit(again);
  world.pass(seconds(10));
  world.end_and_go_on(first);
  world.pass(seconds(100));
  world.end(second, Outcome::failed);
  ASSERT_EQ(world.driver.state(second), JobState::queued);
  world.pass(seconds(3));
  EXPECT_EQ(world.said(second), "running_job 1 of default 10000; restart_delay 3000");
}

TEST(WaitLedger, WithoutAPlanAllWhoHoldDevicesAreWaitedFor) {
  PolicyConfig easy;
  easy.backfill = "easy";
  Watched world(1, 3, easy);
  world.submit(2, seconds(60));
  world.submit(1, seconds(30));
  world.round();
  const JobId wide = world.submit(3, seconds(10)), narrow = world.submit(1, seconds(100));
  world.pass(seconds(3));
  world.end(JobId{2});
  world.pass(seconds(3));
  EXPECT_EQ(world.said(wide), "running_job 1 of default 5000; running_job 2 of default 1000");
  EXPECT_EQ(world.said(narrow), "job_ahead 3 of default 3000; running_job 1 of default 2000; running_job 2 of default 1000");
}

TEST(WaitLedger, TimeBeforeTheFirstLookIsTheSchedulers) {
  Watched world(1, 1);
  const JobId job = world.submit(1, hours(1));
  world.pass(milliseconds(3));
  world.round();
  EXPECT_EQ(world.said(job), "scheduler 3");
}

TEST(WaitLedger, ALongQueueIsLookedAtLessOften) {
  // 100 that wait: 10 ms between two looks. What happens in between is seen then, also when nothing else happens.
  Watched world(1, 1);
  const JobId first = world.start(1, hours(1));
  for (int i = 0; i < 100; ++i) world.submit(1, hours(1));
  world.pass(milliseconds(1));
  world.look();
  const Time looked = world.driver.now - milliseconds(1);
  EXPECT_EQ(world.ledger.looks_at(), std::nullopt);
  world.pass(milliseconds(1));
  world.end_and_go_on(first);
  EXPECT_EQ(world.ledger.looks_at(), looked + milliseconds(10));
  world.pass(milliseconds(98));
  EXPECT_EQ(world.said(JobId{3}), "job_ahead 2 of default 90; running_job 1 of default 10");
}

TEST(WaitLedger, ALedgerThatBeginsLaterKeepsTheSums) {
  Watched world(1, 1);
  const JobId first = world.start(1, hours(1)), second = world.submit(1, hours(1)), third = world.submit(1, hours(1));
  world.pass(seconds(10));
  // What it has is recorded, and a little later it is lost.
  world.look();
  world.apply(WaitsAccounted{world.ledger.open(world.driver.now), {}});
  EXPECT_EQ(in_words(world.driver.job(second).waited), "running_job 1 of default 10000");
  world.pass(seconds(5));
  world.ledger = WaitLedger(world.driver.scheduler.state(), world.driver.now);
  world.pass(seconds(1));
  world.end_and_go_on(first);
  world.pass(seconds(2));
  EXPECT_EQ(world.said(second), "running_job 1 of default 16000");
  EXPECT_EQ(world.said(third), "running_job 1 of default 16000; job_ahead 2 of default 2000");
  // The end of a wait that nobody recorded before the ledger was lost.
  world.ledger = WaitLedger(world.driver.scheduler.state(), world.driver.now);
  EXPECT_EQ(world.said(second), "running_job 1 of default 10000; scheduler 6000");
  world.apply(WaitsAccounted{{world.ledger.finished().at(second)}, {}});
  EXPECT_TRUE(world.ledger.finished().empty());
  EXPECT_EQ(sum_of(world.driver.job(second).waited), wait_of(world.driver.job(second), world.driver.now));
}

TEST(WaitLedger, MergingKeepsSumsAndTheLongestNames) {
  std::vector<WaitPart> parts;
  for (std::int64_t job = 1; job <= 30; ++job)
    parts.push_back({.cause = WaitCause::running_job, .job = JobId{job}, .account = job % 2 ? "lab-a" : "lab-b", .detail = "", .bill = 0, .time_ms = {job}});
  const auto kept = merged(parts, 2);
  EXPECT_EQ(in_words(kept), "running_job of lab-b 210; running_job of lab-a 196; running_job 30 of lab-b 30; running_job 29 of lab-a 29");
  EXPECT_EQ(sum_of(kept), sum_of(parts));
}

}  // namespace
}  // namespace ultramarine::core
