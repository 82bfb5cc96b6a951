// A node of several falls silent: when its job's other ranks are stopped, when it runs again, and who may say that the node is off.
#include "tests/unit/core/launch_fixture.h"

namespace ultramarine::core {
namespace {

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
  EXPECT_EQ(stop_grace({}, driver.job(id), attempt(), 1), seconds(1)) << "ranks of a broken gang have nothing to save";
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

TEST_F(NodeLoss, WhenAllWereAwayTheFirstThatIsBackDoesNotMakeTheOthersLost) {
  for (const bool has_progress : {true, false}) {
    run_with(NodeLossRule::fast, has_progress ? std::optional<std::int64_t>(10'000) : std::nullopt);
    if (has_progress) liveness.gangs[key].progress = TrainingProgress{.step = 1, .advanced_ms = driver.now};
    driver.now = driver.now + seconds(120);
    while (!step().empty()) {
    }
    ASSERT_EQ(state(), JobState::unknown);
    driver.join("node1");
    hello("node1", {key});
    report("node1", GangPhase::running);
    EXPECT_EQ(without_node2(seconds(9)), nothing) << "node2 may be on its way, too";
    EXPECT_EQ(without_node2(seconds(1)), std::vector<std::string>{"gang_failed"})
        << "the ranks stand still and it isn't";
    node1_stops();
    while (!step().empty()) {
    }
    driver.join("node2");
    hello("node2", {});
  }
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

/// A job of 8 GPUs that runs on node1 alone, which then falls silent; node2 is heard.
class Partition : public Launch {
 protected:
  void run_alone(Duration stop_when_cut_off, Duration promise) {
    driver.apply(JobCancelled{id, ada});
    both(GangPhase::finished);
    while (!step().empty()) {
    }
    liveness.gangs.clear();
    JobSpec spec = spec_of({.gpus = 8}, hours(1), seconds(30));
    spec.stop_when_cut_off_ms = stop_when_cut_off;
    id = driver.submit(spec);
    key = {id, 1, 1};
    driver.round();
    report("node1", GangPhase::running).self_stop_ms = promise;
    ASSERT_EQ(step(), std::vector<std::string>{"gang_started"});
  }
  std::vector<std::string> without_node1(Duration length) {
    std::vector<std::string> all;
    for (Duration passed{}; passed < length; passed = passed + seconds(1)) {
      driver.now = driver.now + seconds(1);
      liveness.nodes["node2"].last_heard_ms = driver.now;
      for (auto types = step(); !types.empty(); types = step()) all.insert(all.end(), types.begin(), types.end());
    }
    return all;
  }
  const std::vector<std::string> silent{"node_suspected", "node_unreachable"};
};

TEST_F(Partition, AJobOnOneNodeThatAskedToStopWhenCutOffRunsElsewhereOnceItSurelyHas) {
  run_alone(seconds(60), seconds(60));
  EXPECT_EQ(without_node1(seconds(10)), silent);
  EXPECT_EQ(state(), JobState::unknown);
  EXPECT_EQ(without_node1(seconds(59)), nothing);
  EXPECT_EQ(next_due(driver.scheduler.state(), liveness, driver.now), driver.now + seconds(1));
  EXPECT_EQ(without_node1(seconds(1)), (std::vector<std::string>{"gang_failed", "gang_cut_off"}));
  EXPECT_EQ(without_node1(seconds(2)), nothing) << "1 s to die and 2 s for clocks";
  EXPECT_EQ(without_node1(seconds(1)), the_end);
  EXPECT_EQ(driver.attempt(id).outcome, Outcome::node_lost);
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{id}) << "without asking for restarts";
  EXPECT_EQ(driver.attempt(id).allocation.front().node, "node2");
}

TEST_F(Partition, AJobOnOneNodeThatAskedForNothingWaits) {
  run_alone(Duration{}, Duration{});
  EXPECT_EQ(without_node1(seconds(10)), silent);
  EXPECT_EQ(without_node1(seconds(1000)), nothing);
  EXPECT_EQ(state(), JobState::unknown);
}

TEST_F(Partition, NobodyRelaunchesForWhatWasAskedButNotPromised) {
  run_alone(seconds(60), Duration{});
  EXPECT_EQ(without_node1(seconds(10)), silent);
  EXPECT_EQ(without_node1(seconds(1000)), nothing);
}

TEST_F(Partition, ANodeThatIsBackInTimeGoesOn) {
  run_alone(seconds(60), seconds(60));
  EXPECT_EQ(without_node1(seconds(50)), silent);
  driver.apply(NodeJoined{"node1", "", "", "", {}});
  report("node1", GangPhase::running).self_stop_ms = seconds(60);
  EXPECT_EQ(without_node1(seconds(9)), std::vector<std::string>{"node_suspected"});
  EXPECT_EQ(driver.attempt(id).attempt, 1);
}

TEST_F(Partition, ACancelledJobThatWasToStopWhenCutOffEndsThen) {
  run_alone(seconds(60), seconds(60));
  EXPECT_EQ(without_node1(seconds(20)), silent);
  driver.apply(JobCancelled{id, ada});
  EXPECT_EQ(without_node1(seconds(1)), std::vector<std::string>{"gang_cut_off"});
  EXPECT_EQ(without_node1(seconds(49 + 30 + 1)), nothing) << "it may have heard the word, and takes its grace then";
  EXPECT_EQ(without_node1(seconds(2)), the_end);
  EXPECT_EQ(state(), JobState::cancelled);
}

TEST_F(NodeLoss, ASchedulerThatCanReachNobodyJudgesNobody) {
  run_with(NodeLossRule::fast);
  driver.now = driver.now + hours(1);
  std::vector<std::string> all;
  for (auto types = step(); !types.empty(); types = step()) all.insert(all.end(), types.begin(), types.end());
  EXPECT_EQ(std::count(all.begin(), all.end(), "gang_failed"), 0);
  EXPECT_EQ(state(), JobState::unknown);
}

}  // namespace
}  // namespace ultramarine::core
