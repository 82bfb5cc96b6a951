// What silence and reports lead to, rule by rule, and what nodes are told.
#include "scheduler/core/first_failure.h"
#include "tests/unit/core/launch_fixture.h"

namespace ultramarine::core {
namespace {

using Silence = Launch;

TEST_F(Silence, SuspectAfterFiveSecondsUnreachableAfterTen) {
  driver.now = driver.now + milliseconds(4'999);
  EXPECT_EQ(step(), nothing);
  EXPECT_EQ(next_due(driver.scheduler.state(), liveness, driver.now), driver.now + milliseconds(1));
  liveness.nodes["node2"].last_heard_ms = driver.now;
  driver.now = driver.now + milliseconds(1);
  EXPECT_EQ(step(), std::vector<std::string>{"node_suspected"});
  EXPECT_EQ(driver.scheduler.state().nodes.at("node1").state, NodeState::suspect);
  EXPECT_EQ(step(), nothing);  // said once
  driver.now = driver.now + milliseconds(4'998);
  EXPECT_EQ(next_due(driver.scheduler.state(), liveness, driver.now), driver.now + milliseconds(1));  // node2's suspicion
  liveness.nodes["node2"].last_heard_ms = driver.now;
  driver.now = driver.now + milliseconds(2);
  EXPECT_EQ(step(), std::vector<std::string>{"node_unreachable"});
  EXPECT_EQ(state(), JobState::unknown);
  EXPECT_EQ(step(), nothing);
}

TEST_F(Silence, ALongSilenceThatNobodySawIsBothAtOnce) {
  driver.now = driver.now + hours(1);
  EXPECT_EQ(step(), (std::vector<std::string>{"node_suspected", "node_unreachable", "node_suspected", "node_unreachable"}));
}

TEST_F(Silence, OfANodeNotHeardInThisLifeCountsFromItsBeginning) {
  liveness = {};
  driver.now = driver.now + hours(1);
  EXPECT_EQ(step(), nothing);  // nobody said when it began
  liveness.started_ms = driver.now;
  EXPECT_EQ(next_due(driver.scheduler.state(), liveness, driver.now), driver.now + suspect_after);
  driver.now = driver.now + unreachable_after;
  EXPECT_EQ(step().size(), 4u);
  EXPECT_EQ(state(), JobState::unknown);
}

TEST_F(Silence, OfANodeThatNeverJoinedMeansNothing) {
  driver.apply(ClusterConfigured{cluster_of(3, 8), {}});
  liveness.started_ms = Time{0};
  EXPECT_EQ(step(), nothing);
}

TEST_F(Launch, StartsWhenEveryNodeRuns) {
  EXPECT_EQ(told("node1"), LaunchStep::prepare);
  EXPECT_EQ(told("node2"), LaunchStep::prepare);
  EXPECT_EQ(told("node3"), LaunchStep::nothing);
  report("node1", GangPhase::preparing);
  EXPECT_EQ(told("node1"), LaunchStep::nothing);
  report("node1", GangPhase::prepared);
  EXPECT_EQ(told("node1"), LaunchStep::nothing);  // node2 is not there yet
  EXPECT_EQ(told("node2"), LaunchStep::prepare);
  report("node2", GangPhase::prepared);
  EXPECT_EQ(told("node1"), LaunchStep::start);
  EXPECT_EQ(told("node2"), LaunchStep::start);
  report("node1", GangPhase::running);
  EXPECT_EQ(told("node1"), LaunchStep::nothing);
  EXPECT_EQ(told("node2"), LaunchStep::start);
  EXPECT_EQ(step(), nothing);
  report("node2", GangPhase::running);
  EXPECT_EQ(step(), std::vector<std::string>{"gang_started"});
  EXPECT_EQ(state(), JobState::running);
  EXPECT_EQ(told("node2"), LaunchStep::nothing);
}

TEST_F(Launch, AGangThatIsFinishedBeforeItWasSeenRunningStartedAllTheSame) {
  both(GangPhase::finished);
  EXPECT_EQ(step(), std::vector<std::string>{"gang_started"});
  EXPECT_EQ(step(), the_end);
  EXPECT_EQ(state(), JobState::completed);
}

TEST_F(Launch, ASilentNodeFailsItAfterTheDeadlineByName) {
  liveness.gangs[key].first_asked_ms = driver.now;
  report("node1", GangPhase::prepared);
  EXPECT_EQ(next_due(driver.scheduler.state(), liveness, driver.now), driver.now + suspect_after);
  later(milliseconds(59'999));
  EXPECT_EQ(step(), nothing);
  EXPECT_EQ(next_due(driver.scheduler.state(), liveness, driver.now), driver.now + milliseconds(1));
  later(milliseconds(1));
  EXPECT_EQ(step(), std::vector<std::string>{"gang_failed"});
  EXPECT_EQ(driver.attempt(id).failure->node, "node2");
  EXPECT_EQ(driver.attempt(id).failure->detail, "node node2 did not prepare the gang within 60 s; look at the log of its agent");
  EXPECT_EQ(driver.attempt(id).gangs[0].outcome, Outcome::start_failed);
}

TEST_F(Launch, ANodeThatDoesNotStartItsRanksFailsItAfterTwiceTheDeadline) {
  liveness.gangs[key].first_asked_ms = driver.now;
  both(GangPhase::prepared);
  report("node1", GangPhase::running);
  later(launch_deadline);
  EXPECT_EQ(step(), nothing);
  later(launch_deadline);
  EXPECT_EQ(step(), std::vector<std::string>{"gang_failed"});
  EXPECT_EQ(driver.attempt(id).failure->node, "node2");
}

TEST_F(Launch, TheDeadlineDoesNotCountWhatWasNotAskedInThisLife) {
  // Reports came in before anything was sent: a restarted scheduler.
  report("node1", GangPhase::prepared);
  later(hours(1));
  EXPECT_EQ(step(), nothing);
}

TEST_F(Launch, ARefusalStopsTheOthers) {
  report("node1", GangPhase::prepared);
  fail("node2", GangPhase::finished, Outcome::start_failed, -1);
  EXPECT_EQ(told("node1"), LaunchStep::nothing);  // not started although node2 is beyond prepared
  EXPECT_EQ(step(), std::vector<std::string>{"gang_failed"});
  EXPECT_EQ(state(), JobState::stopping);
  EXPECT_EQ(told("node1"), LaunchStep::stop);
  EXPECT_EQ(told("node2"), LaunchStep::nothing);
  report("node1", GangPhase::finished);
  EXPECT_EQ(step(), the_end);
  EXPECT_EQ(driver.attempt(id).outcome, Outcome::start_failed);
  EXPECT_EQ(state(), JobState::failed);
}

TEST_F(Launch, ANodeThatWasNotAskedYetIsNotTakenForFinished) {
  // node2 refused while Prepare to node1 was under way: only node1's answer to Stop ends the attempt.
  fail("node2", GangPhase::finished, Outcome::start_failed, -1);
  EXPECT_EQ(step(), std::vector<std::string>{"gang_failed"});
  EXPECT_EQ(step(), nothing);
  EXPECT_EQ(told("node1"), LaunchStep::stop);
  report("node1", GangPhase::finished);
  EXPECT_EQ(step(), the_end);
}

TEST_F(Launch, AnAgentThatForgotWhatItOnlyPreparedIsAskedAgain) {
  both(GangPhase::prepared);
  hello("node2", {});
  EXPECT_EQ(step(), nothing);
  EXPECT_EQ(told("node2"), LaunchStep::prepare);
  EXPECT_EQ(told("node1"), LaunchStep::nothing);
  report("node2", GangPhase::prepared);
  EXPECT_EQ(told("node1"), LaunchStep::start);
}

TEST_F(Launch, ANodeThatKnowsTheGangButHasNotReportedItYetIsNotAskedAgain) {
  hello("node1", {key});
  EXPECT_EQ(told("node1"), LaunchStep::nothing);
}

TEST_F(Launch, ALostNodeIsALostGangEvenBeforeTheStartWasRecorded) {
  // node1 runs, so node2 must have been prepared; it came back without.
  both(GangPhase::prepared);
  report("node1", GangPhase::running);
  hello("node2", {});
  EXPECT_EQ(step(), std::vector<std::string>{"gang_failed"});
  EXPECT_EQ(driver.attempt(id).failure->node, "node2");
  EXPECT_EQ(driver.attempt(id).gangs[0].outcome, Outcome::supervisor_lost);
}

using Running = Launch;

TEST_F(Running, EndsOnceWhenEveryNodeHasFinished) {
  run_both();
  report("node1", GangPhase::finished).ranks = {{.rank = 1}, {.rank = 0}};
  EXPECT_EQ(step(), nothing);
  report("node2", GangPhase::finished).ranks = {{.rank = 2}};
  EXPECT_EQ(step(), the_end);
  EXPECT_EQ(driver.attempt(id).outcome, Outcome::succeeded);
  ASSERT_EQ(driver.attempt(id).gangs[0].ranks.size(), 3u);
  EXPECT_EQ(driver.attempt(id).gangs[0].ranks[2].rank, 2);
  both(GangPhase::finished);  // repeated until Forget
  EXPECT_EQ(step(), nothing);
  EXPECT_EQ(told("node1"), LaunchStep::forget);
  liveness.gangs.erase(key);
  EXPECT_EQ(told("node1"), LaunchStep::nothing);
}

TEST_F(Running, AnEndWhoseSecondHalfIsMissingIsCompleted) {
  run_both();
  both(GangPhase::finished);
  driver.apply(to_entry(due().front()));
  EXPECT_EQ(step(), std::vector<std::string>{"attempt_ended"});
}

TEST_F(Running, TheFirstFailureByTimeIsRecordedAndStopsTheRest) {
  run_both();
  fail("node1", GangPhase::running, Outcome::failed, 3, Time{20});
  fail("node2", GangPhase::running, Outcome::out_of_memory, 9, Time{10});
  EXPECT_EQ(step(), std::vector<std::string>{"gang_failed"});
  EXPECT_EQ(driver.attempt(id).failure->rank, 9);
  EXPECT_EQ(told("node1"), LaunchStep::stop);
  report("node1", GangPhase::stopping).outcome.reset();
  liveness.gangs[key].nodes["node1"].failure.reset();
  EXPECT_EQ(told("node1"), LaunchStep::nothing);  // it is at it
  both(GangPhase::finished);
  EXPECT_EQ(step(), the_end);
  EXPECT_EQ(driver.attempt(id).outcome, Outcome::out_of_memory);
}

TEST_F(Running, TheOthersAreStoppedAtTheFirstWordAndTheCauseIsNamedOnceItIsHeard) {
  run_both();
  fail("node1", GangPhase::stopping, Outcome::failed, 3, Time{1'030});  // its line to rank 9 broke
  EXPECT_EQ(step(), std::vector<std::string>{"gang_failed"});
  EXPECT_EQ(driver.attempt(id).failure->rank, 3);
  EXPECT_EQ(told("node2"), LaunchStep::stop);
  fail("node2", GangPhase::stopping, Outcome::failed, 9, Time{1'000});
  EXPECT_EQ(step(), std::vector<std::string>{"gang_failed"});
  EXPECT_EQ(driver.attempt(id).failure->rank, 9);
  EXPECT_EQ(step(), nothing) << "once";
  fail("node1", GangPhase::finished, Outcome::failed, 3, Time{1'030});
  fail("node2", GangPhase::finished, Outcome::failed, 9, Time{1'000});
  EXPECT_EQ(step(), the_end);
  EXPECT_EQ(driver.attempt(id).failure->rank, 9);
  EXPECT_EQ(driver.job(id).stop_cause, StopCause::rank_failed);
}

TEST_F(Running, AKilledRankExplainsAnExitCodeThatWasHeardFirstAndSeemsEarlier) {
  run_both();
  fail("node1", GangPhase::stopping, Outcome::failed, 3, Time{900});
  step();
  fail("node2", GangPhase::stopping, Outcome::failed, 9, Time{1'000});
  liveness.gangs[key].nodes["node2"].failure->signal = 11;
  EXPECT_EQ(step(), std::vector<std::string>{"gang_failed"});
  EXPECT_EQ(driver.attempt(id).failure->rank, 9);
  fail("node1", GangPhase::stopping, Outcome::out_of_memory, 3, Time{900});
  EXPECT_EQ(step(), std::vector<std::string>{"gang_failed"});
  EXPECT_EQ(driver.attempt(id).gangs[0].outcome, Outcome::out_of_memory) << "and too little memory both";
  both(GangPhase::finished);
  EXPECT_EQ(step(), the_end);
  EXPECT_EQ(driver.attempt(id).outcome, Outcome::out_of_memory);
}

TEST_F(Running, WhatHappenedLongAfterTheFirstFailureExplainsNothing) {
  run_both();
  fail("node1", GangPhase::stopping, Outcome::failed, 3, Time{1'000});
  step();
  fail("node2", GangPhase::stopping, Outcome::failed, 9, Time{1'001} + cause_window);
  liveness.gangs[key].nodes["node2"].failure->signal = 9;
  EXPECT_EQ(step(), nothing);
}

TEST_F(Running, PartsThatAreStoppedDoNotCorrectTheCause) {
  run_both();
  fail("node1", GangPhase::stopping, Outcome::failed, 3, Time{1'000});
  step();
  fail("node2", GangPhase::stopping, Outcome::cancelled, -1, Time{10});
  EXPECT_EQ(step(), nothing);
  report("node2", GangPhase::finished).failure.reset();
  EXPECT_EQ(step(), nothing);
  EXPECT_EQ(driver.attempt(id).failure->rank, 3);
}

TEST_F(Running, ANodeWhoseClockIsAheadIsNotBlamedLess) {
  run_both();
  // node2's clock is 100 ms ahead; its heartbeats were under way for 1 to 40 ms.
  for (const std::int64_t delay : {40, 1, 12}) note_clock(liveness.nodes["node2"], driver.now + Duration{100 - delay}, driver.now);
  note_clock(liveness.nodes["node1"], driver.now - Duration{2}, driver.now);
  EXPECT_EQ(clock_lead(liveness, "node2"), Duration{99});
  fail("node1", GangPhase::running, Outcome::failed, 3, Time{1'030});
  fail("node2", GangPhase::running, Outcome::failed, 9, Time{1'100});  // really at 1001
  EXPECT_EQ(step(), std::vector<std::string>{"gang_failed"});
  EXPECT_EQ(driver.attempt(id).failure->rank, 9);
}

TEST_F(Running, OnlyTheNewestHeartbeatsSayHowANodesClockGoes) {
  note_clock(liveness.nodes["node2"], driver.now + seconds(3600), driver.now);
  for (int i = 0; i < 8; ++i) note_clock(liveness.nodes["node2"], driver.now + Duration{5}, driver.now);
  EXPECT_EQ(clock_lead(liveness, "node2"), Duration{5}) << "it was set right";
}

TEST_F(Running, AFailureWithoutDetailsStillNamesTheNode) {
  run_both();
  report("node2", GangPhase::running).outcome = Outcome::timed_out;
  EXPECT_EQ(step(), std::vector<std::string>{"gang_failed"});
  EXPECT_EQ(driver.attempt(id).failure->node, "node2");
  EXPECT_EQ(driver.attempt(id).gangs[0].outcome, Outcome::timed_out);
}

TEST_F(Running, ACancelledGangsDyingRanksAreNoFailure) {
  run_both();
  driver.apply(JobCancelled{id, ada});
  EXPECT_EQ(told("node1"), LaunchStep::stop);
  fail("node1", GangPhase::finished, Outcome::cancelled, 0);
  EXPECT_EQ(step(), nothing);
  fail("node2", GangPhase::finished, Outcome::failed, 8);
  EXPECT_EQ(step(), the_end);
  EXPECT_EQ(state(), JobState::cancelled);
  EXPECT_FALSE(driver.attempt(id).failure);
}

TEST_F(Launch, RanksThatRanAndWereDoneBeforeTheirStartWasHeardOfAreDoneAlsoWhenTheyWereToStop) {
  both(GangPhase::prepared);
  driver.apply(JobRequeued{id, ada});
  report("node1", GangPhase::finished).ranks = {RankResult{.rank = 0, .node = "node1"}};
  report("node2", GangPhase::finished).ranks = {RankResult{.rank = 8, .node = "node2"}};
  EXPECT_EQ(step(), std::vector<std::string>{"gang_started"});
  EXPECT_EQ(step(), the_end);
  EXPECT_EQ(driver.attempt(id).outcome, Outcome::succeeded);
  EXPECT_EQ(state(), JobState::completed);
}

TEST_F(Launch, WhatWasOnlyPreparedWhenItWasToStopNeverStarted) {
  both(GangPhase::prepared);
  driver.apply(JobRequeued{id, ada});
  report("node1", GangPhase::finished).ranks = {RankResult{.node = "node1"}};
  report("node2", GangPhase::finished);
  EXPECT_EQ(step(), the_end);
  EXPECT_FALSE(driver.attempt(id).started_ms);
  EXPECT_EQ(state(), JobState::queued);
}

TEST_F(Running, ARequeuedGangIsPreempted) {
  run_both();
  driver.apply(JobRequeued{id, ada});
  both(GangPhase::finished);
  EXPECT_EQ(step(), the_end);
  EXPECT_EQ(driver.attempt(id).outcome, Outcome::preempted);
  EXPECT_EQ(state(), JobState::queued);
}

TEST_F(Running, AJobWithASignalOfItsOwnIsAskedForACheckpointAndTerminatedOnceItHasOne) {
  driver.apply(JobRequeued{id, ada});
  EXPECT_EQ(checkpoint_signal(driver.job(id)), 0) << "SIGTERM asks as well";
  both(GangPhase::finished);
  while (!step().empty()) {
  }
  JobSpec spec = spec_of({.gpus = 16}, hours(1));
  spec.warning = WarningSignal{.signal = 12};
  driver.apply(JobCancelled{id, ada});
  id = driver.submit(spec);
  key = {id, 1, 1};
  driver.round();
  run_both();
  EXPECT_EQ(checkpoint_signal(driver.job(id)), 0) << "nobody stops it";
  driver.apply(CheckpointSaved{id, 1, 1, 10, "/c/10", {}});
  driver.now = driver.now + seconds(1);
  driver.apply(JobRequeued{id, ada});
  EXPECT_EQ(checkpoint_signal(driver.job(id)), 12);
  EXPECT_EQ(told("node1"), LaunchStep::stop);
  both(GangPhase::stopping);
  EXPECT_EQ(told("node1"), LaunchStep::nothing) << "that checkpoint is older";
  driver.now = driver.now + seconds(1);
  driver.apply(CheckpointSaved{id, 1, 1, 20, "/c/20", {}});
  for (const char* node : {"node1", "node2"}) EXPECT_EQ(told(node), LaunchStep::terminate);
  both(GangPhase::finished);
  EXPECT_EQ(step(), the_end);
  EXPECT_EQ(driver.attempt(id).outcome, Outcome::preempted);
}

TEST_F(Running, AnAgentThatCameBackWithoutTheGangLostIt) {
  run_both();
  hello("node2", {});
  EXPECT_EQ(step(), std::vector<std::string>{"gang_failed"});
  EXPECT_EQ(told("node1"), LaunchStep::stop);
  EXPECT_EQ(told("node2"), LaunchStep::nothing);
  report("node1", GangPhase::finished);
  EXPECT_EQ(step(), the_end);  // node2 has nothing left to finish
  EXPECT_EQ(driver.attempt(id).outcome, Outcome::supervisor_lost);
}

TEST_F(Running, ANodeThatWasRestartedIsCalledThat) {
  run_both();
  later(seconds(1));
  driver.join("node2", "boot-2");
  hello("node2", {});
  EXPECT_EQ(step(), std::vector<std::string>{"gang_failed"});
  EXPECT_EQ(driver.attempt(id).gangs[0].outcome, Outcome::node_lost);
}

TEST_F(Running, ABrokenConnectionAloneLosesNothing) {
  run_both();
  liveness.nodes["node2"].connected = false;
  liveness.nodes["node2"].known_gangs.clear();
  EXPECT_EQ(step(), nothing);
}

TEST_F(Running, AnUnknownJobGoesOnWhenItsNodeIsBack) {
  run_both();
  driver.apply(NodeUnreachable{"node2", {}});
  liveness.nodes["node2"].connected = false;
  EXPECT_EQ(step(), nothing);
  EXPECT_EQ(told("node1"), LaunchStep::nothing);
  report("node1", GangPhase::finished);
  EXPECT_EQ(step(), nothing);  // node2 may still run
  driver.join("node2");
  hello("node2", {key});
  EXPECT_EQ(step(), nothing);
  report("node2", GangPhase::finished);
  EXPECT_EQ(step(), the_end);
  EXPECT_EQ(state(), JobState::completed);
}

TEST_F(Running, ANodeThatHadFinishedBeforeItFellSilentHoldsNothingUp) {
  run_both();
  report("node2", GangPhase::finished);
  driver.apply(NodeUnreachable{"node2", {}});
  report("node1", GangPhase::finished);
  EXPECT_EQ(step(), the_end);
  EXPECT_EQ(state(), JobState::completed);
}

TEST_F(Running, ARestartedSchedulerLearnsAllFromHellosAndReports) {
  run_both();
  liveness = {};
  liveness.started_ms = driver.now;
  EXPECT_EQ(step(), nothing);
  hello("node1", {key});
  EXPECT_EQ(step(), nothing);
  report("node1", GangPhase::finished);
  hello("node2", {key});
  EXPECT_EQ(step(), nothing);  // its report follows
  report("node2", GangPhase::finished);
  EXPECT_EQ(step(), the_end);
}

TEST_F(Running, ARestartedSchedulerStopsWhatShouldHaveStopped) {
  run_both();
  driver.apply(JobCancelled{id, ada});
  liveness = {};
  hello("node1", {key});
  EXPECT_EQ(told("node1"), LaunchStep::stop);
  report("node1", GangPhase::running);
  EXPECT_EQ(told("node1"), LaunchStep::stop);
}

TEST_F(Running, WhatRunsOfAnEndedAttemptIsStoppedFirstThenForgotten) {
  run_both();
  both(GangPhase::finished);
  step();
  report("node2", GangPhase::running);  // against all expectation
  EXPECT_EQ(told("node2"), LaunchStep::stop);
  EXPECT_EQ(launch_step(driver.scheduler.state(), liveness, {JobId{77}, 1, 1}, "node2"), LaunchStep::nothing);
}

TEST(Due, NothingIsDueOfAnEmptyCluster) {
  EXPECT_TRUE(due_events(State{}, Liveness{}, Time{5}).empty());
  EXPECT_FALSE(next_due(State{}, Liveness{}, Time{5}));
}

}  // namespace
}  // namespace ultramarine::core
