// What each entry does to jobs and nodes.
#include <gtest/gtest.h>

#include "scheduler/core/lifecycle.h"
#include "tests/unit/core/builders.h"

namespace ultramarine::core {
namespace {

struct RunningJob {
  Driver driver{cluster_of(2, 8)};
  JobId id = driver.submit(spec_of({.gpus = 16}, hours(1)));
  RunningJob() {
    driver.round();
    driver.run(id);
  }
};

TEST(Lifecycle, FromTheQueueToTheEnd) {
  Driver driver(cluster_of(2, 8));
  const JobId id = driver.submit(16, hours(1));
  EXPECT_EQ(driver.state(id), JobState::queued);
  driver.round();
  EXPECT_EQ(driver.state(id), JobState::starting);
  EXPECT_TRUE(driver.scheduler.is_current(id, 1));
  driver.now = driver.now + seconds(1);
  driver.run(id);
  EXPECT_EQ(driver.state(id), JobState::running);
  EXPECT_EQ(driver.attempt(id).started_ms, driver.now);
  driver.now = driver.now + seconds(9);
  driver.apply(GangFinished{id, 1, 1, Outcome::succeeded, {{.rank = 1}, {.rank = 0}}, {}});
  EXPECT_EQ(driver.state(id), JobState::running);  // its devices are not free yet
  driver.apply(AttemptEnded{id, 1, Outcome::succeeded, {}});
  EXPECT_EQ(driver.state(id), JobState::completed);
  EXPECT_EQ(driver.job(id).ended_ms, driver.now);
  EXPECT_EQ(driver.attempt(id).gangs[0].ranks[0].rank, 0);
  EXPECT_EQ(driver.attempt(id).gangs[0].ranks[1].rank, 1);
  EXPECT_EQ(driver.scheduler.state().allocated_gpu_ms.at("default"), 16 * 10'000);
  EXPECT_FALSE(driver.scheduler.is_current(id, 1));
}

TEST(Lifecycle, TerminalStatesAreLeftByNoMove) {
  for (const JobState from : {JobState::completed, JobState::failed, JobState::cancelled})
    for (int to = 0; to <= static_cast<int>(JobState::cancelled); ++to) EXPECT_FALSE(may_follow(from, static_cast<JobState>(to)));
}

TEST(Lifecycle, AnIllegalMoveEndsTheProcess) {
  RunningJob test;
  EXPECT_DEATH(test.driver.apply(Round{test.driver.now, 1, "", {StartJob{test.id, 2, {}, false}}}), "a job moves only along the table of moves");
}

TEST(Lifecycle, ADeviceIsNeverHeldTwice) {
  RunningJob test;
  const JobId other = test.driver.submit(1, hours(1));
  EXPECT_DEATH(test.driver.apply(Round{test.driver.now, 1, "", {StartJob{other, 1, {{"node1", {0}}}, false}}}), "no device is held twice");
}

TEST(Lifecycle, JobNumbersAreGivenInOrder) {
  Driver driver(cluster_of(1, 8));
  EXPECT_DEATH(driver.apply(JobSubmitted{JobId{2}, spec_of({.gpus = 1}, hours(1)), {}, "", ada}), "job numbers are given in order");
}

TEST(Lifecycle, ARequestKeyNamesTheFirstJobThatCameWithIt) {
  Driver driver(cluster_of(1, 8));
  const JobId first = driver.submit(spec_of({.gpus = 1}, hours(1)), "key");
  const JobId second = driver.submit(spec_of({.gpus = 1}, hours(1)), "key");
  EXPECT_EQ(driver.scheduler.state().request_keys.at("1000:key"), first);
  EXPECT_EQ(driver.job(second).request_key, "");
}

TEST(Cancel, AQueuedJobEndsAtOnce) {
  Driver driver(cluster_of(1, 8));
  const JobId id = driver.submit(1, hours(1));
  driver.apply(JobCancelled{id, ada});
  EXPECT_EQ(driver.state(id), JobState::cancelled);
  EXPECT_EQ(driver.job(id).ended_ms, driver.now);
  driver.apply(JobCancelled{id, ada});  // twice is once
  EXPECT_EQ(driver.state(id), JobState::cancelled);
}

TEST(Cancel, ARunningJobStopsFirst) {
  RunningJob test;
  test.driver.apply(JobCancelled{test.id, ada});
  EXPECT_EQ(test.driver.state(test.id), JobState::stopping);
  EXPECT_EQ(test.driver.job(test.id).stop_cause, StopCause::cancelled);
  test.driver.end(test.id, Outcome::cancelled);
  EXPECT_EQ(test.driver.state(test.id), JobState::cancelled);
}

TEST(Cancel, WinsOverARequeue) {
  RunningJob test;
  test.driver.apply(JobRequeued{test.id, ada});
  test.driver.apply(JobCancelled{test.id, ada});
  test.driver.end(test.id, Outcome::preempted);  // as it was worked out a moment before
  EXPECT_EQ(test.driver.state(test.id), JobState::cancelled);
}

TEST(Cancel, DoesNotHideAFailure) {
  RunningJob test;
  test.driver.apply(GangFailed{test.id, 1, 1, Outcome::failed, {.rank = 3}, {}});
  test.driver.apply(JobCancelled{test.id, ada});
  EXPECT_EQ(test.driver.job(test.id).stop_cause, StopCause::rank_failed);
}

TEST(Requeue, TheJobQueuesAgainAtItsOldPlaceAsTheNextAttempt) {
  RunningJob test;
  Driver& driver = test.driver;
  driver.now = driver.now + seconds(5);
  const JobId later = driver.submit(16, hours(1));
  driver.apply(JobRequeued{test.id, ada});
  driver.end(test.id, Outcome::preempted);
  EXPECT_EQ(driver.state(test.id), JobState::queued);
  EXPECT_EQ(driver.job(test.id).stop_cause, StopCause::none);
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{test.id});
  EXPECT_EQ(driver.attempt(test.id).attempt, 2);
  EXPECT_EQ(driver.state(later), JobState::queued);
}

TEST(Requeue, OfAJobThatDoesNotRunChangesNothing) {
  Driver driver(cluster_of(1, 8));
  const JobId id = driver.submit(1, hours(1));
  const std::string before = driver.scheduler.state_hash();
  driver.apply(JobRequeued{id, ada});
  EXPECT_EQ(driver.scheduler.state_hash(), before);
}

TEST(Failure, OnlyTheFirstIsKept) {
  RunningJob test;
  test.driver.apply(GangFailed{test.id, 1, 1, Outcome::out_of_memory, {.rank = 3, .node = "node1"}, {}});
  test.driver.apply(GangFailed{test.id, 1, 1, Outcome::failed, {.rank = 4, .node = "node1"}, {}});
  EXPECT_EQ(test.driver.attempt(test.id).failure->rank, 3);
  EXPECT_EQ(test.driver.attempt(test.id).gangs[0].outcome, Outcome::out_of_memory);
  EXPECT_EQ(test.driver.state(test.id), JobState::stopping);
  test.driver.end(test.id, Outcome::out_of_memory);
  EXPECT_EQ(test.driver.state(test.id), JobState::failed);
}

TEST(Failure, KeepsAnEarlierCause) {
  RunningJob test;
  test.driver.apply(JobCancelled{test.id, ada});
  test.driver.apply(GangFailed{test.id, 1, 1, Outcome::failed, {.rank = 3}, {}});
  EXPECT_EQ(test.driver.job(test.id).stop_cause, StopCause::cancelled);
  EXPECT_EQ(test.driver.attempt(test.id).failure->rank, 3);
}

TEST(Failure, OfALaunchEndsTheJob) {
  Driver driver(cluster_of(2, 8));
  const JobId id = driver.submit(16, hours(1));
  driver.round();
  driver.apply(GangFailed{id, 1, 1, Outcome::start_failed, {.node = "node2", .detail = "no such command"}, {}});
  driver.end(id, Outcome::start_failed);
  EXPECT_EQ(driver.state(id), JobState::failed);
}

TEST(Reports, OfEndedAttemptsChangeNothing) {
  RunningJob test;
  test.driver.apply(JobRequeued{test.id, ada});
  test.driver.end(test.id, Outcome::preempted);
  test.driver.round();
  const std::string before = test.driver.scheduler.state_hash();
  test.driver.apply(GangStarted{test.id, 1, 1, {}});
  test.driver.apply(GangFailed{test.id, 1, 1, Outcome::failed, {}, {}});
  test.driver.apply(CheckpointSaved{test.id, 1, 1, 7, "/c", {}});
  test.driver.apply(GangFinished{test.id, 1, 1, Outcome::failed, {}, {}});
  test.driver.apply(AttemptEnded{test.id, 1, Outcome::failed, {}});
  EXPECT_EQ(test.driver.scheduler.state_hash(), before);
}

TEST(Checkpoint, TheNewestIsKept) {
  RunningJob test;
  const auto save = [&](std::int64_t attempt, std::int64_t step) {
    test.driver.now = test.driver.now + seconds(1);
    test.driver.apply(CheckpointSaved{test.id, attempt, 1, step, "/step" + std::to_string(step), {}});
    return test.driver.job(test.id).checkpoint->step;
  };
  EXPECT_EQ(save(1, 10), 10);
  EXPECT_EQ(save(1, 20), 20);
  EXPECT_EQ(save(1, 10), 20);  // repeated late
  test.driver.apply(JobRequeued{test.id, ada});
  test.driver.end(test.id, Outcome::preempted);
  test.driver.now = test.driver.now + seconds(1);
  test.driver.round();
  EXPECT_EQ(test.driver.job(test.id).checkpoint->step, 20);
  EXPECT_EQ(save(2, 5), 5);  // the new attempt began again
}

TEST(Nodes, AnUnreachableNodeMakesItsJobsUnknownAndNothingElse) {
  // Its devices stay held, and it is not queued again: it may still run there.
  RunningJob test;
  Driver& driver = test.driver;
  driver.apply(NodeSuspected{"node2", {}});
  EXPECT_EQ(driver.state(test.id), JobState::running);
  driver.apply(NodeUnreachable{"node2", {}});
  EXPECT_EQ(driver.state(test.id), JobState::unknown);
  driver.now = driver.now + hours(500);
  driver.submit(1, hours(1));
  EXPECT_TRUE(driver.round().empty());
  driver.join("node2");
  EXPECT_EQ(driver.state(test.id), JobState::running);
}

TEST(Nodes, AJobIsKnownAgainWhenAllItsNodesAre) {
  RunningJob test;
  test.driver.apply(NodeUnreachable{"node1", {}});
  test.driver.apply(NodeUnreachable{"node2", {}});
  test.driver.join("node2");
  EXPECT_EQ(test.driver.state(test.id), JobState::unknown);
  test.driver.join("node1");
  EXPECT_EQ(test.driver.state(test.id), JobState::running);
}

TEST(Nodes, AJobThatHadNotStartedGoesBackToStarting) {
  Driver driver(cluster_of(2, 8));
  const JobId id = driver.submit(16, hours(1));
  driver.round();
  driver.apply(NodeUnreachable{"node1", {}});
  EXPECT_EQ(driver.state(id), JobState::unknown);
  driver.join("node1");
  EXPECT_EQ(driver.state(id), JobState::starting);
}

TEST(Nodes, AStoppingJobStaysStopping) {
  RunningJob test;
  test.driver.apply(JobCancelled{test.id, ada});
  test.driver.apply(NodeUnreachable{"node1", {}});
  EXPECT_EQ(test.driver.state(test.id), JobState::stopping);
  test.driver.join("node1");
  EXPECT_EQ(test.driver.state(test.id), JobState::stopping);
}

TEST(Nodes, AnUnknownJobCanBeCancelledAndFails) {
  for (const bool cancel : {true, false}) {
    RunningJob test;
    test.driver.apply(NodeUnreachable{"node1", {}});
    if (cancel)
      test.driver.apply(JobCancelled{test.id, ada});
    else
      test.driver.apply(GangFailed{test.id, 1, 1, Outcome::failed, {}, {}});
    EXPECT_EQ(test.driver.state(test.id), JobState::stopping);
  }
}

TEST(Nodes, WhenABootWasFirstSeenIsRemembered) {
  Driver driver(cluster_of(1, 8));
  const Time first = driver.scheduler.state().nodes.at("node1").boot_seen_ms;
  driver.now = driver.now + seconds(1);
  driver.join("node1", "boot-1");
  EXPECT_EQ(driver.scheduler.state().nodes.at("node1").boot_seen_ms, first);
  driver.join("node1", "boot-2");
  EXPECT_EQ(driver.scheduler.state().nodes.at("node1").boot_seen_ms, driver.now);
}

TEST(Cluster, NodesAppearDownAndLeaveWhenNobodyHoldsThem) {
  RunningJob test;
  Driver& driver = test.driver;
  driver.apply(ClusterConfigured{cluster_of(1, 8), {}});
  ASSERT_EQ(driver.scheduler.state().nodes.count("node2"), 1u);  // the job is still there
  driver.end(test.id);
  EXPECT_EQ(driver.scheduler.state().nodes.count("node2"), 0u);
  driver.apply(ClusterConfigured{cluster_of(3, 8), {}});
  EXPECT_EQ(driver.scheduler.state().nodes.at("node2").state, NodeState::down);
  EXPECT_EQ(driver.scheduler.state().nodes.at("node1").state, NodeState::up);
}

TEST(Cluster, DevicesThatAreHeldLeaveWhenTheyAreFree) {
  RunningJob test;
  Driver& driver = test.driver;
  driver.apply(ClusterConfigured{cluster_of(2, 4), {}});
  EXPECT_EQ(driver.scheduler.state().nodes.at("node1").config.gpus, 8);
  const JobId next = driver.submit(4, hours(1));
  EXPECT_TRUE(driver.round().empty());
  driver.end(test.id);
  EXPECT_EQ(driver.scheduler.state().nodes.at("node1").config.gpus, 4);
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{next});
}

TEST(Cluster, AJobWhosePartitionIsGoneIsHeldUntilItIsBack) {
  ClusterConfig both = cluster_of(1, 8);
  both.partitions.push_back({.name = "debug"});
  Driver driver(both);
  JobSpec spec = spec_of({.gpus = 8}, hours(1));
  spec.partition = "debug";
  const JobId running = driver.submit(spec), queued = driver.submit(spec);
  driver.round();
  driver.apply(ClusterConfigured{cluster_of(1, 8), {}});
  EXPECT_EQ(driver.state(running), JobState::starting);
  EXPECT_EQ(driver.state(queued), JobState::held);
  driver.apply(JobRequeued{running, ada});
  driver.end(running, Outcome::preempted);
  EXPECT_EQ(driver.state(running), JobState::held);
  EXPECT_TRUE(driver.round().empty());
  driver.apply(ClusterConfigured{both, {}});
  EXPECT_EQ(driver.state(queued), JobState::queued);
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{running});
}

TEST(Invariants, EachViolationIsSaid) {
  // A state that is broken by hand: what is checked is not what apply happens to do.
  const auto broken = [](auto change) {
    RunningJob test;
    State state = test.driver.scheduler.state();
    change(state, state.jobs.at(test.id));
    const auto violations = check_invariants(state);
    return violations.empty() ? std::string("none") : violations.front();
  };
  EXPECT_EQ(broken([](State&, Job&) {}), "none");
  EXPECT_EQ(broken([](State& s, Job& j) { Job copy = j; copy.job = JobId{2}; s.next_job = 3; s.jobs[JobId{2}] = copy; }),
            "job 2 holds device 0 of node1, and so does job 1");
  EXPECT_EQ(broken([](State&, Job& j) { j.attempts[0].allocation[0].devices.back() = 8; }), "job 1 holds device 8 of node1, which has 8");
  EXPECT_EQ(broken([](State&, Job& j) { j.attempts[0].allocation[0].devices.pop_back(); }),
            "job 1 attempt 1 has another number of devices than was asked for: a gang is whole or absent");
  EXPECT_EQ(broken([](State& s, Job&) { s.nodes.erase("node2"); }), "job 1 holds devices of node node2, which is not known");
  EXPECT_EQ(broken([](State&, Job& j) { j.state = JobState::completed; }), "job 1 has an end exactly when it is in a terminal state: not so");
  EXPECT_EQ(broken([](State&, Job& j) { j.attempts[0].attempt = 2; }), "job 1 attempt 2 is numbered out of order");
  EXPECT_EQ(broken([](State&, Job& j) { j.attempts[0].ended_ms = Time{1}; }), "job 1 attempt 1 has ended but its job is active");
  EXPECT_EQ(broken([](State&, Job& j) { j.state = JobState::unknown; }), "job 1 is unknown though all its nodes are heard");
  EXPECT_EQ(broken([](State&, Job& j) { j.state = JobState::stopping; }), "job 1 is stopping without a cause");
  EXPECT_EQ(broken([](State& s, Job&) { s.nodes.at("node1").state = NodeState::unreachable; }), "job 1 goes on though one of its nodes is unreachable");
  EXPECT_EQ(broken([](State& s, Job&) { s.allocated_gpu_ms["default"] = 5; }), "account default is charged 5 GPU-ms for 0");
  EXPECT_EQ(broken([](State& s, Job&) { s.request_keys["1000:k"] = JobId{1}; }), "request keys name jobs that are not there");
  EXPECT_EQ(broken([](State& s, Job&) { s.cluster.partitions.clear(); }), "none");  // a running job goes on
}

}  // namespace
}  // namespace ultramarine::core
