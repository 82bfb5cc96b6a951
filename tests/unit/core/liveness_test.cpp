// What silence and reports lead to, rule by rule, and what nodes are told.
#include <gtest/gtest.h>

#include "scheduler/core/gangs.h"
#include "scheduler/core/liveness.h"
#include "tests/unit/core/builders.h"

namespace ultramarine::core {
namespace {

/// A 16-GPU job just decided on two nodes that have said hello.
class Launch : public testing::Test {
 protected:
  Launch() {
    driver.round();
    for (const char* node : {"node1", "node2"}) hello(node, {});
  }

  void hello(const std::string& node, std::vector<GangKey> gangs) {
    auto& heard = liveness.nodes[node];
    heard.connected = true;
    heard.last_heard_ms = driver.now;
    heard.known_gangs = std::move(gangs);
  }
  GangReport& report(const std::string& node, GangPhase phase) {
    GangReport& report = liveness.gangs[key].nodes[node];
    report.key = key;
    report.phase = phase;
    auto& known = liveness.nodes[node].known_gangs;
    if (std::find(known.begin(), known.end(), key) == known.end()) known.push_back(key);
    liveness.nodes[node].last_heard_ms = driver.now;
    return report;
  }
  void both(GangPhase phase) {
    report("node1", phase);
    report("node2", phase);
  }
  void fail(const std::string& node, GangPhase phase, Outcome outcome, std::int64_t rank, Time at = {}) {
    GangReport& failed = report(node, phase);
    failed.outcome = outcome;
    failed.failure = Failure{.rank = rank, .node = node, .at_ms = at};
  }
  std::vector<Event> due() { return due_events(driver.scheduler.state(), liveness, driver.now); }
  /// Types of the events that are due; applies them.
  std::vector<std::string> step() {
    std::vector<std::string> types;
    for (const Event& event : due()) {
      types.push_back(std::visit([](const auto& e) { return std::string(e.type); }, event));
      driver.apply(to_entry(event));
    }
    return types;
  }
  void run_both() {
    both(GangPhase::running);
    ASSERT_EQ(step(), std::vector<std::string>{"gang_started"});
  }
  LaunchStep told(const std::string& node) { return launch_step(driver.scheduler.state(), liveness, key, node); }
  void later(Duration length) {
    driver.now = driver.now + length;
    for (auto& [name, node] : liveness.nodes) node.last_heard_ms = driver.now;
  }
  JobState state() { return driver.state(id); }

  Driver driver{cluster_of(2, 8)};
  JobId id = driver.submit(16, hours(1));
  GangKey key{id, 1, 1};
  Liveness liveness;
  const std::vector<std::string> nothing{};
  const std::vector<std::string> the_end{"gang_finished", "attempt_ended"};
};

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

/// Both nodes run; then node2 falls silent.
class NodeLoss : public Launch {
 protected:
  void run_with(NodeLossRule rule, std::optional<std::int64_t> self_stop_ms = 10'000) {
    JobSpec spec = spec_of({.gpus = 16}, hours(1), seconds(30));
    spec.on_node_loss = rule;
    driver.apply(JobCancelled{id, ada});
    both(GangPhase::finished);
    while (!step().empty()) {
    }
    liveness.gangs.clear();
    id = driver.submit(spec);
    key = {id, 1, 1};
    driver.round();
    both(GangPhase::running);
    for (const char* node : {"node1", "node2"}) report(node, GangPhase::running).self_stop_ms = Duration{self_stop_ms.value_or(0)};
    ASSERT_EQ(step(), std::vector<std::string>{"gang_started"});
  }
  /// Time passes second by second; node1 is heard, node2 isn't. All that happened.
  std::vector<std::string> without_node2(Duration length) {
    std::vector<std::string> all;
    for (Duration passed{}; passed < length; passed = passed + seconds(1)) {
      driver.now = driver.now + seconds(1);
      liveness.nodes["node1"].last_heard_ms = driver.now;
      for (auto types = step(); !types.empty(); types = step()) all.insert(all.end(), types.begin(), types.end());
    }
    return all;
  }
  void node1_stops() { report("node1", GangPhase::finished); }
  const Attempt& attempt() { return driver.job(id).attempts.front(); }

  const std::vector<std::string> lost{"node_suspected", "node_unreachable", "gang_failed"};
};

TEST_F(NodeLoss, FastRunsAgainAsSoonAsTheOthersHaveStopped) {
  run_with(NodeLossRule::fast, std::nullopt);
  EXPECT_EQ(without_node2(seconds(10)), lost);
  EXPECT_EQ(state(), JobState::stopping);
  EXPECT_EQ(told("node1"), LaunchStep::stop);
  EXPECT_EQ(stop_grace(driver.job(id), attempt(), 1), seconds(1)) << "ranks of a broken gang have nothing to save";
  EXPECT_EQ(without_node2(seconds(5)), nothing) << "node1 hasn't stopped";
  node1_stops();
  EXPECT_EQ(without_node2(seconds(1)), (std::vector<std::string>{"gang_cut_off", "gang_finished", "attempt_ended"}));
  EXPECT_EQ(state(), JobState::queued);
  EXPECT_EQ(attempt().outcome, Outcome::node_lost);
  EXPECT_EQ(attempt().failure->node, "node2");
}

TEST_F(NodeLoss, StrictWaitsUntilTheCutOffRanksHaveStoppedThemselves) {
  run_with(NodeLossRule::strict, 25'000);
  EXPECT_EQ(without_node2(seconds(10)), lost);
  node1_stops();
  EXPECT_EQ(without_node2(seconds(1)), std::vector<std::string>{"gang_cut_off"});
  EXPECT_EQ(next_due(driver.scheduler.state(), liveness, driver.now).value() <= driver.now + seconds(27), true);
  EXPECT_EQ(without_node2(seconds(26)), nothing) << "25 s were promised, and there is a margin";
  EXPECT_EQ(without_node2(seconds(1)), the_end);
  EXPECT_EQ(state(), JobState::queued);
}

TEST_F(NodeLoss, ARestartedSchedulerKnowsHowLongToWait) {
  run_with(NodeLossRule::strict, 25'000);
  without_node2(seconds(10));
  node1_stops();
  EXPECT_EQ(without_node2(seconds(1)), std::vector<std::string>{"gang_cut_off"});
  liveness = {};
  liveness.started_ms = driver.now;
  hello("node1", {key});
  node1_stops();
  EXPECT_EQ(without_node2(seconds(26)), nothing);
  EXPECT_EQ(without_node2(seconds(1)), the_end);
}

TEST_F(NodeLoss, WhoMayHaveHeardTheStopIsGivenItsGrace) {
  run_with(NodeLossRule::strict, 10'000);
  driver.apply(JobRequeued{id, ada});
  node1_stops();
  without_node2(seconds(10));
  EXPECT_EQ(without_node2(seconds(31)), nothing) << "30 s of grace, and the margin";
  EXPECT_EQ(without_node2(seconds(1)), the_end);
}

TEST_F(NodeLoss, StrictNeverTakesTheWordOfWhoPromisedNothing) {
  run_with(NodeLossRule::strict, std::nullopt);
  EXPECT_EQ(without_node2(hours(1)), (std::vector<std::string>{"node_suspected", "node_unreachable"}));
  EXPECT_EQ(state(), JobState::unknown);
  EXPECT_EQ(told("node1"), LaunchStep::nothing);
}

TEST_F(NodeLoss, WaitWaits) {
  run_with(NodeLossRule::wait);
  EXPECT_EQ(without_node2(hours(1)), (std::vector<std::string>{"node_suspected", "node_unreachable"}));
  EXPECT_EQ(state(), JobState::unknown);
}

TEST_F(NodeLoss, RanksThatGetFurtherAreNotStopped) {
  run_with(NodeLossRule::fast);
  for (int second = 0; second < 60; ++second) {
    liveness.gangs[key].progress = TrainingProgress{.step = second, .advanced_ms = driver.now};
    without_node2(seconds(1));
    ASSERT_NE(state(), JobState::stopping) << "only the way to the scheduler is broken";
  }
  EXPECT_EQ(without_node2(seconds(8)), nothing);
  EXPECT_EQ(without_node2(seconds(1)), std::vector<std::string>{"gang_failed"});
}

TEST_F(NodeLoss, ANodeThatIsBackInTimeIsAskedInstead) {
  run_with(NodeLossRule::strict);
  without_node2(seconds(10));
  node1_stops();
  EXPECT_EQ(without_node2(seconds(1)), std::vector<std::string>{"gang_cut_off"});
  driver.join("node2");
  hello("node2", {key});
  report("node2", GangPhase::running);
  EXPECT_EQ(told("node2"), LaunchStep::stop);
  later(seconds(30));
  EXPECT_EQ(step(), nothing) << "it says that its ranks still run";
  report("node2", GangPhase::finished);
  EXPECT_EQ(step(), the_end);
}

TEST_F(NodeLoss, WhatFailsInItsWakeIsItsFault) {
  run_with(NodeLossRule::strict);
  driver.now = driver.now + seconds(2);
  fail("node1", GangPhase::finished, Outcome::failed, 3, driver.now);
  EXPECT_EQ(step(), std::vector<std::string>{"gang_failed"});
  EXPECT_EQ(without_node2(seconds(10)), (std::vector<std::string>{"node_suspected", "node_unreachable", "gang_cut_off"}));
  EXPECT_EQ(attempt().failure->node, "node2");
  EXPECT_TRUE(attempt().failure->node_at_fault);
  EXPECT_EQ(without_node2(seconds(12)), the_end);
  EXPECT_EQ(attempt().outcome, Outcome::node_lost);
  EXPECT_EQ(state(), JobState::queued) << "it runs again without asking for restarts";
}

TEST_F(NodeLoss, ACancelledJobDoesNotRunAgain) {
  run_with(NodeLossRule::strict);
  EXPECT_EQ(without_node2(seconds(10)), lost);
  driver.apply(JobCancelled{id, ada});
  node1_stops();
  without_node2(seconds(13));
  EXPECT_EQ(state(), JobState::cancelled);
}

TEST_F(NodeLoss, WhoKnowsThatTheNodeIsOffEndsTheWait) {
  for (const NodeLossRule rule : {NodeLossRule::wait, NodeLossRule::strict}) {
    driver.join("node2");
    run_with(rule, std::nullopt);
    driver.apply(NodeLost{"node2", "too early", ada});
    EXPECT_FALSE(driver.scheduler.state().nodes.at("node2").lost) << "it answers";
    without_node2(seconds(20));
    ASSERT_EQ(state(), JobState::unknown);
    driver.apply(NodeLost{"node2", "its power supply is burnt", ada});
    EXPECT_EQ(step(), std::vector<std::string>{"gang_failed"});
    EXPECT_EQ(attempt().failure->detail, "node node2 is lost, " + ada.name + " says: its power supply is burnt");
    EXPECT_EQ(told("node1"), LaunchStep::stop);
    node1_stops();
    EXPECT_EQ(step(), the_end);
    EXPECT_EQ(attempt().outcome, Outcome::node_lost);
    EXPECT_EQ(state(), JobState::queued) << "it runs again without asking for restarts";
    EXPECT_FALSE(launch_step(driver.scheduler.state(), liveness, key, "node2") == LaunchStep::forget) << "what it may still run is stopped first";
    driver.join("node2");
    EXPECT_FALSE(driver.scheduler.state().nodes.at("node2").lost) << "it has answered";
  }
}

TEST_F(NodeLoss, AJobOnTheLostNodeAloneGoesOnElsewhere) {
  run_with(NodeLossRule::strict);
  JobSpec spec = spec_of({.gpus = 8}, hours(1));
  driver.apply(JobCancelled{id, ada});
  both(GangPhase::finished);
  step();
  const JobId alone = driver.submit(spec);
  driver.round();
  ASSERT_EQ(driver.job(alone).attempts.back().allocation.size(), 1u);
  const std::string node = driver.job(alone).attempts.back().allocation.front().node;
  const GangKey its{alone, 1, 1};
  liveness.gangs[its].nodes[node] = {.key = its, .phase = GangPhase::running};
  liveness.nodes[node].known_gangs = {its};
  step();
  driver.apply(NodeSuspected{node, {}});
  driver.apply(NodeUnreachable{node, {}});
  later(minutes(30));
  EXPECT_EQ(driver.state(alone), JobState::unknown) << "it may well be working";
  driver.apply(NodeLost{node, "off", ada});
  EXPECT_EQ(step(), (std::vector<std::string>{"gang_failed"}));
  EXPECT_EQ(step(), the_end);
  EXPECT_EQ(driver.state(alone), JobState::queued);
}

TEST_F(NodeLoss, ASchedulerThatCanReachNobodyJudgesNobody) {
  run_with(NodeLossRule::fast);
  driver.now = driver.now + hours(1);
  std::vector<std::string> all;
  for (auto types = step(); !types.empty(); types = step()) all.insert(all.end(), types.begin(), types.end());
  EXPECT_EQ(std::count(all.begin(), all.end(), "gang_failed"), 0);
  EXPECT_EQ(state(), JobState::unknown);
}

TEST(Due, NothingIsDueOfAnEmptyCluster) {
  EXPECT_TRUE(due_events(State{}, Liveness{}, Time{5}).empty());
  EXPECT_FALSE(next_due(State{}, Liveness{}, Time{5}));
}

}  // namespace
}  // namespace ultramarine::core
