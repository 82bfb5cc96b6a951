// What follows from an attempt that failed or was asked to yield: whether the job is tried again, when, where, and what becomes of the node.
#include <gtest/gtest.h>

#include "scheduler/core/liveness.h"
#include "tests/unit/core/builders.h"

namespace ultramarine::core {
namespace {

JobSpec restarting(std::int64_t max_restarts, Resources resources = {.gpus = 8}) {
  JobSpec spec = spec_of(resources, hours(1));
  spec.max_restarts = max_restarts;
  return spec;
}

void fail(Driver& driver, JobId id, Outcome outcome, const std::string& node, bool node_at_fault = false) {
  Failure failure{.rank = node_at_fault ? -1 : 0, .node = node, .exit_code = 3, .detail = "the disk is full", .node_at_fault = node_at_fault, .at_ms = driver.now};
  driver.apply(GangFailed{id, driver.attempt(id).attempt, 1, outcome, failure, {}});
  driver.end(id, outcome);
}

void save(Driver& driver, JobId id, std::int64_t step) { driver.apply(CheckpointSaved{id, driver.attempt(id).attempt, 1, step, "/tmp/checkpoint", {}}); }

TEST(Restart, AJobIsTriedAgainAsOftenAsItAskedAndElsewhere) {
  Driver driver(cluster_of(2, 8));
  const JobId job = driver.submit(restarting(1));
  driver.round();
  driver.run(job);
  ASSERT_EQ(in_words(driver.attempt(job).allocation).substr(0, 5), "node1");
  fail(driver, job, Outcome::failed, "node1");
  ASSERT_EQ(driver.state(job), JobState::queued);
  EXPECT_TRUE(driver.round().empty()) << "not at once";
  EXPECT_EQ(driver.planned(job).reason.code, ReasonCode::restart_delay);
  EXPECT_EQ(driver.start_in_ms(job), 5'000);
  EXPECT_EQ(driver.scheduler.next_wakeup(driver.now), driver.now + seconds(5));
  driver.now = driver.now + seconds(5);
  driver.round();
  ASSERT_EQ(driver.state(job), JobState::starting);
  EXPECT_EQ(in_words(driver.attempt(job).allocation).substr(0, 5), "node2") << "it avoids the node that failed";
  driver.run(job);
  fail(driver, job, Outcome::failed, "node2");
  EXPECT_EQ(driver.state(job), JobState::failed) << "once was all that it asked for";
}

TEST(Restart, WithoutBeingAskedOnlyWhatItsNodesAreToBlameForIsTriedAgain) {
  for (const Outcome outcome : {Outcome::failed, Outcome::out_of_memory, Outcome::timed_out, Outcome::start_failed, Outcome::stalled}) {
    Driver driver(cluster_of(1, 8));
    const JobId job = driver.submit(restarting(0));
    driver.round();
    fail(driver, job, outcome, "node1");
    EXPECT_EQ(driver.state(job), JobState::failed) << static_cast<int>(outcome);
  }
  for (const Outcome outcome : {Outcome::node_lost, Outcome::device_lost, Outcome::supervisor_lost}) {
    Driver driver(cluster_of(2, 8));
    const JobId job = driver.submit(restarting(0));
    driver.round();
    fail(driver, job, outcome, "node1");
    EXPECT_EQ(driver.start_round(), std::vector<JobId>{job}) << "at once";
    EXPECT_EQ(in_words(driver.attempt(job).allocation).substr(0, 5), "node2");
  }
}

TEST(Restart, ItGoesBackToTheSameNodeWhenThereIsNoOther) {
  Driver driver(cluster_of(2, 8));
  const JobId job = driver.submit(restarting(0, {.gpus = 16}));
  driver.round();
  fail(driver, job, Outcome::supervisor_lost, "node1");
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{job});
}

TEST(Restart, DelaysDoubleAndThreeAttemptsWithoutACheckpointAreEnough) {
  Driver driver(cluster_of(1, 8));
  const JobId job = driver.submit(restarting(100));
  std::vector<std::int64_t> delays;
  for (int attempt = 0; attempt < 3; ++attempt) {
    driver.round();
    driver.run(job);
    fail(driver, job, Outcome::failed, "node1");
    if (driver.state(job) != JobState::queued) break;
    delays.push_back(driver.start_in_ms(job));
    driver.now = *driver.planned(job).start_ms;
  }
  EXPECT_EQ(delays, (std::vector<std::int64_t>{5'000, 10'000}));
  ASSERT_EQ(driver.state(job), JobState::held);
  EXPECT_EQ(driver.job(job).hold->kind, HoldKind::no_progress);
  EXPECT_EQ(driver.job(job).hold->reason, "3 attempts in a row failed without a new checkpoint");

  driver.apply(JobReleased{job, ada});
  driver.now = driver.now + minutes(10);
  for (int attempt = 0; attempt < 10; ++attempt) {
    ASSERT_EQ(driver.start_round(), std::vector<JobId>{job});
    driver.run(job);
    save(driver, job, attempt + 1);
    fail(driver, job, Outcome::failed, "node1");
    ASSERT_EQ(driver.state(job), JobState::queued) << "each went on from a new checkpoint";
    driver.now = *driver.planned(job).start_ms;
  }
}

TEST(Restart, WhoSavesAndFailsAgainAndAgainWaitsLongerUpToTheEnd) {
  // It makes checkpoints, so nobody holds it; but it would keep its nodes busy with nothing but starts.
  Driver driver(cluster_of(1, 8));
  const JobId job = driver.submit(restarting(1000));
  std::vector<std::int64_t> delays_s;
  for (int attempt = 0; attempt < 10; ++attempt) {
    driver.round();
    driver.run(job);
    save(driver, job, attempt + 1);
    fail(driver, job, Outcome::failed, "node1");
    ASSERT_EQ(driver.state(job), JobState::queued);
    delays_s.push_back(driver.start_in_ms(job) / 1000);
    driver.now = *driver.planned(job).start_ms;
  }
  EXPECT_EQ(delays_s, (std::vector<std::int64_t>{5, 10, 20, 40, 80, 160, 320, 600, 600, 600}));
  driver.round();
  driver.run(job);
  driver.now = driver.now + minutes(10);
  fail(driver, job, Outcome::failed, "node1");
  EXPECT_EQ(driver.start_in_ms(job), 5'000) << "it had run well for as long as the longest wait";
}

TEST(Restart, NodesThatFailOneAfterTheOtherAreNotFedAJobWithoutPause) {
  Driver driver(cluster_of(2, 8));
  const JobId job = driver.submit(restarting(0));
  for (const std::int64_t delay_ms : {0, 10'000, 20'000}) {
    driver.round();
    driver.run(job);
    save(driver, job, 1);
    fail(driver, job, Outcome::node_lost, "node1");
    EXPECT_EQ(driver.start_in_ms(job), delay_ms);
    driver.now = *driver.planned(job).start_ms;
  }
}

TEST(Restart, WhoeverCancelsDoesNotGetItBack) {
  Driver driver(cluster_of(1, 8));
  const JobId job = driver.submit(restarting(5));
  driver.round();
  driver.run(job);
  driver.apply(JobCancelled{job, ada});
  driver.end(job, Outcome::cancelled);
  EXPECT_EQ(driver.state(job), JobState::cancelled);
}

TEST(Restart, ANodeThatRefusesThreeLaunchesInARowIsDrained) {
  Driver driver(cluster_of(2, 8));
  for (int refused = 0; refused < 3; ++refused) {
    EXPECT_FALSE(driver.scheduler.state().nodes.at("node1").drain);
    const JobId job = driver.submit(restarting(0));
    driver.round();
    ASSERT_EQ(in_words(driver.attempt(job).allocation).substr(0, 5), "node1");
    fail(driver, job, Outcome::start_failed, "node1", true);
    ASSERT_EQ(driver.start_round(), std::vector<JobId>{job}) << "elsewhere, at once";
    ASSERT_EQ(in_words(driver.attempt(job).allocation).substr(0, 5), "node2");
    driver.run(job);
    driver.end(job);
  }
  const Node& node = driver.scheduler.state().nodes.at("node1");
  ASSERT_TRUE(node.drain);
  EXPECT_EQ(node.state, NodeState::drained);
  EXPECT_EQ(node.drain->reason, "it refused 3 launches in a row; the last: the disk is full");
  driver.apply(NodeResumed{"node1", ada});
  EXPECT_EQ(driver.scheduler.state().nodes.at("node1").refusals, 0);
}

TEST(Restart, NothingStartsOnANodeThatHasJustRefusedItsThirdLaunch) {
  Driver driver(cluster_of(1, 8));
  for (int refused = 0; refused < 3; ++refused) driver.submit(restarting(0));
  for (int refused = 0; refused < 3; ++refused) {
    const auto started = driver.start_round();
    ASSERT_EQ(started.size(), 1U);
    fail(driver, started.front(), Outcome::start_failed, "node1", true);
    driver.apply(JobHeld{started.front(), HoldKind::user, "", ada});
  }
  driver.submit(restarting(0));
  ASSERT_EQ(driver.scheduler.state().nodes.at("node1").state, NodeState::drained);
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{});
  EXPECT_EQ(driver.scheduler.plan(driver.now), Scheduler(driver.scheduler.state()).plan(driver.now));
}

/// A running job of one node that was asked to queue again, and what its only rank said when it ended.
JobState after_requeue(std::int64_t exit_code, std::int64_t signal, bool saves) {
  Driver driver(cluster_of(1, 8));
  const JobId job = driver.submit(restarting(0));
  driver.round();
  driver.run(job);
  save(driver, job, 1);
  driver.now = driver.now + seconds(1);
  driver.apply(JobRequeued{job, ada});
  driver.now = driver.now + seconds(1);
  if (saves) save(driver, job, 2);
  Liveness liveness;
  liveness.nodes["node1"].connected = true;
  liveness.nodes["node1"].last_heard_ms = driver.now;
  GangReport& report = liveness.gangs[{job, 1, 1}].nodes["node1"];
  report.key = {job, 1, 1};
  report.phase = GangPhase::finished;
  report.outcome = Outcome::succeeded;
  report.ranks = {RankResult{.rank = 0, .node = "node1", .exit_code = exit_code, .signal = signal}};
  for (int pass = 0; pass < 3; ++pass)
    for (const Event& event : due_events(driver.scheduler.state(), liveness, driver.now)) driver.apply(to_entry(event));
  return driver.state(job);
}

TEST(Restart, WhoEndsWellWithoutSavingAnythingWasDoneAnyway) {
  EXPECT_EQ(after_requeue(0, 0, false), JobState::completed);
  EXPECT_EQ(after_requeue(0, 0, true), JobState::queued);
  EXPECT_EQ(after_requeue(85, 0, false), JobState::queued);
  EXPECT_EQ(after_requeue(1, 0, false), JobState::queued);
  EXPECT_EQ(after_requeue(0, 15, false), JobState::queued);
  EXPECT_EQ(after_requeue(0, 9, false), JobState::queued) << "killed after its grace";
}

}  // namespace
}  // namespace ultramarine::core
