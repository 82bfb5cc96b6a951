// A script and the gangs that it starts: what each spans, what their ends mean for each other, what nodes are told.
#include "scheduler/core/gangs.h"

#include <gtest/gtest.h>

#include "scheduler/core/liveness.h"
#include "tests/unit/core/builders.h"

namespace ultramarine::core {
namespace {

/// A script over two nodes of 8 devices, running on the first.
class ScriptRuns : public testing::Test {
 protected:
  ScriptRuns() {
    driver.round();
    for (const char* node : {"node1", "node2"}) liveness.nodes[node] = {.connected = true, .last_heard_ms = driver.now};
    report("node1", 1, GangPhase::running);
    EXPECT_EQ(step(), std::vector<std::string>{"gang_started"});
  }
  static JobSpec script() {
    JobSpec spec = spec_of({.nodes = 2, .gpus_per_node = 8}, hours(1));
    spec.script = Script{"#!/bin/bash\n"};
    return spec;
  }
  GangReport& report(const std::string& node, std::int64_t gang, GangPhase phase) {
    const GangKey key{id, 1, gang};
    GangReport& report = liveness.gangs[key].nodes[node];
    report.key = key;
    report.phase = phase;
    auto& known = liveness.nodes[node].known_gangs;
    if (std::find(known.begin(), known.end(), key) == known.end()) known.push_back(key);
    return report;
  }
  GangReport& both(std::int64_t gang, GangPhase phase) {
    report("node1", gang, phase);
    return report("node2", gang, phase);
  }
  std::int64_t ask(GangSpec spec = {.command = {"/bin/step"}, .working_directory = "/"}) {
    const std::int64_t number = next_gang(driver.attempt(id));
    driver.apply(GangRequested{id, 1, number, std::move(spec), ada});
    return number;
  }
  /// Types of the events that are due, with their gang; applies them.
  std::vector<std::string> step() {
    std::vector<std::string> types;
    for (const Event& event : due_events(driver.scheduler.state(), liveness, driver.now)) {
      types.push_back(std::visit(
          [](const auto& e) {
            std::string text = e.type;
            if constexpr (requires { e.gang; }) text += e.gang == 1 ? "" : " " + std::to_string(e.gang);
            return text;
          },
          event));
      driver.apply(to_entry(event));
    }
    return types;
  }
  LaunchStep told(const std::string& node, std::int64_t gang) { return launch_step(driver.scheduler.state(), liveness, {id, 1, gang}, node); }
  const Gang& gang(std::int64_t number) { return *find_gang(driver.attempt(id), number); }
  /// Gang 2 runs on both nodes.
  void run_second() {
    ask();
    both(2, GangPhase::running);
    ASSERT_EQ(step(), std::vector<std::string>{"gang_started 2"});
  }

  Driver driver{cluster_of(2, 8)};
  JobId id = driver.submit(script());
  Liveness liveness;
  using Words = std::vector<std::string>;
};

TEST_F(ScriptRuns, OnItsFirstNodeAlone) {
  const Job& job = driver.job(id);
  EXPECT_EQ(in_words(gang_allocation(job, job.attempts[0], 1)), "node1:0,1,2,3,4,5,6,7");
  EXPECT_EQ(gang_ranks(job, job.attempts[0], 1), (std::vector<std::int64_t>{1}));
  EXPECT_EQ(told("node2", 1), LaunchStep::nothing);
  EXPECT_EQ(job.state, JobState::running);
  EXPECT_TRUE(takes_gangs(job));
}

TEST_F(ScriptRuns, ItsGangsSpanAllOfIt) {
  EXPECT_EQ(ask(), 2);
  const Job& job = driver.job(id);
  EXPECT_EQ(gang_allocation(job, job.attempts[0], 2), job.attempts[0].allocation);
  EXPECT_EQ(gang_ranks(job, job.attempts[0], 2), (std::vector<std::int64_t>{8, 8}));
  EXPECT_EQ(told("node1", 2), LaunchStep::prepare);
  EXPECT_EQ(told("node2", 2), LaunchStep::prepare);
  both(2, GangPhase::prepared);
  EXPECT_EQ(told("node2", 2), LaunchStep::start);
  both(2, GangPhase::running);
  const Time started = driver.attempt(id).started_ms.value();
  driver.now = driver.now + seconds(1);
  EXPECT_EQ(step(), Words{"gang_started 2"});
  EXPECT_EQ(driver.attempt(id).started_ms, started);
  both(2, GangPhase::finished).outcome = Outcome::succeeded;
  EXPECT_EQ(step(), Words{"gang_finished 2"});
  EXPECT_EQ(gang(2).outcome, Outcome::succeeded);
  EXPECT_EQ(told("node1", 2), LaunchStep::forget) << "a gang is forgotten at its own end, not at the job's";
  EXPECT_EQ(driver.state(id), JobState::running);
}

TEST_F(ScriptRuns, RanksAreDividedAsTheGangSaysElseTheJob) {
  const auto ranks = [&](GangSpec spec) {
    const std::int64_t number = ask(std::move(spec));
    return gang_ranks(driver.job(id), driver.attempt(id), number);
  };
  using Counts = std::vector<std::int64_t>;
  EXPECT_EQ(ranks({.ranks = 5}), (Counts{3, 2}));
  EXPECT_EQ(ranks({.ranks_per_node = 4}), (Counts{4, 4}));
  EXPECT_EQ(ranks({.ranks = 16}), (Counts{8, 8}));
  EXPECT_EQ(ranks({.ranks = 1}), (Counts{1})) << "nodes without a rank take no part";
  EXPECT_EQ(in_words(gang_allocation(driver.job(id), driver.attempt(id), 5)), "node1:0,1,2,3,4,5,6,7");

  Driver other(cluster_of(2, 8));
  JobSpec spec = spec_of({.nodes = 2, .gpus_per_node = 8}, hours(1));
  spec.ranks_per_node = 1;
  const JobId plain = other.submit(spec);
  other.round();
  EXPECT_EQ(gang_ranks(other.job(plain), other.attempt(plain), 1), (Counts{1, 1})) << "a plain job's own gang too";
}

TEST_F(ScriptRuns, AGangMayBeOnSomeOfTheNodes) {
  const auto places = [&](GangSpec spec) {
    const std::int64_t number = ask(std::move(spec));
    std::string text = in_words(gang_allocation(driver.job(id), driver.attempt(id), number)) + " ranks";
    for (const std::int64_t ranks : gang_ranks(driver.job(id), driver.attempt(id), number)) text += " " + std::to_string(ranks);
    return text;
  };
  EXPECT_EQ(places({.only_nodes = {"node2"}}), "node2:0,1,2,3,4,5,6,7 ranks 8");
  EXPECT_EQ(places({.nodes = 1}), "node1:0,1,2,3,4,5,6,7 ranks 8");
  EXPECT_EQ(places({.ranks = 3, .only_nodes = {"node2", "node1"}, .nodes = 1}), "node1:0,1,2,3,4,5,6,7 ranks 3") << "in the job's order";
  EXPECT_EQ(told("node2", 3), LaunchStep::nothing);
  EXPECT_EQ(told("node2", 2), LaunchStep::prepare);

  Driver other(cluster_of(2, 8));
  JobSpec spec = script();
  spec.ranks = 5;
  const JobId five = other.submit(spec);
  other.round();
  const Job& job = other.job(five);
  Attempt attempt = other.attempt(five);
  attempt.gangs = {{.gang = 2, .spec = GangSpec{.only_nodes = {"node2"}}}};
  EXPECT_EQ(gang_ranks(job, attempt, 2), (std::vector<std::int64_t>{2})) << "the part of the job's number that this node has";
}

TEST(PlainGangs, OneMoreMayRunBesideRanksThatHaveStarted) {
  Driver driver(cluster_of(1, 2));
  const JobId id = driver.submit(spec_of({.gpus = 2}, hours(1)));
  driver.round();
  EXPECT_FALSE(takes_gangs(driver.job(id), true)) << "nothing to be beside yet";
  driver.apply(GangStarted{id, 1, 1, {}});
  EXPECT_TRUE(takes_gangs(driver.job(id), true));
  EXPECT_FALSE(takes_gangs(driver.job(id))) << "`ultra run` is for scripts";
  driver.apply(GangRequested{id, 1, 2, GangSpec{.command = {"/bin/sh"}, .ranks = 1, .only_nodes = {"node1"}, .beside_rank = 0}, ada});
  EXPECT_EQ(in_words(gang_allocation(driver.job(id), driver.attempt(id), 2)), "node1:0,1");
  EXPECT_FALSE(is_being_stopped(driver.job(id), driver.attempt(id), 2));
  driver.apply(GangFinished{id, 1, 1, Outcome::succeeded, {}, {}});
  EXPECT_TRUE(is_being_stopped(driver.job(id), driver.attempt(id), 2)) << "it doesn't outlive the ranks";
  EXPECT_FALSE(takes_gangs(driver.job(id), true));
}

TEST_F(ScriptRuns, AFailedGangStopsItselfAndNothingElse) {
  run_second();
  const std::int64_t third = ask();
  both(third, GangPhase::running);
  step();
  GangReport& failed = report("node2", 2, GangPhase::running);
  failed.outcome = Outcome::failed;
  failed.failure = Failure{.rank = 9, .exit_code = 3};
  EXPECT_EQ(step(), Words{"gang_failed 2"});
  EXPECT_EQ(driver.state(id), JobState::running);
  EXPECT_FALSE(driver.attempt(id).failure);
  EXPECT_EQ(gang(2).failure->rank, 9);
  EXPECT_EQ(told("node1", 2), LaunchStep::stop);
  EXPECT_EQ(told("node1", third), LaunchStep::nothing);
  EXPECT_EQ(told("node1", 1), LaunchStep::nothing);
  report("node1", 2, GangPhase::finished).outcome = Outcome::cancelled;
  report("node2", 2, GangPhase::finished).outcome = Outcome::failed;
  EXPECT_EQ(step(), Words{"gang_finished 2"});
  EXPECT_EQ(gang(2).outcome, Outcome::failed);
  both(third, GangPhase::finished);
  report("node1", 1, GangPhase::finished);
  EXPECT_EQ(step(), (Words{"gang_finished", "gang_finished 3", "attempt_ended"}));
  EXPECT_EQ(driver.state(id), JobState::completed) << "the script decides what a failed gang means";
}

TEST_F(ScriptRuns, AStoppedGangIsCancelledAndTheScriptGoesOn) {
  run_second();
  driver.apply(GangStopRequested{id, 1, 2, ada});
  EXPECT_EQ(told("node1", 2), LaunchStep::stop);
  EXPECT_EQ(told("node1", 1), LaunchStep::nothing);
  report("node1", 2, GangPhase::finished).outcome = Outcome::cancelled;
  EXPECT_EQ(step(), Words{}) << "its dying ranks are no failure";
  report("node2", 2, GangPhase::finished).outcome = Outcome::cancelled;
  EXPECT_EQ(step(), Words{"gang_finished 2"});
  EXPECT_EQ(gang(2).outcome, Outcome::cancelled);
  EXPECT_TRUE(takes_gangs(driver.job(id)));
  EXPECT_EQ(next_gang(driver.attempt(id)), 3);
}

TEST_F(ScriptRuns, AGangThatEndedBeforeItCouldBeStoppedSucceeded) {
  run_second();
  driver.apply(GangStopRequested{id, 1, 2, ada});
  report("node1", 2, GangPhase::finished).outcome = Outcome::succeeded;
  report("node2", 2, GangPhase::finished).outcome = Outcome::succeeded;
  EXPECT_EQ(step(), Words{"gang_finished 2"});
  EXPECT_EQ(gang(2).outcome, Outcome::succeeded);
}

TEST_F(ScriptRuns, ItsEndStopsWhatItLeftBehindAndTheAttemptEndsAfterThat) {
  run_second();
  report("node1", 1, GangPhase::finished);
  EXPECT_EQ(step(), Words{"gang_finished"});
  EXPECT_EQ(driver.state(id), JobState::running) << "its devices are not free";
  EXPECT_FALSE(takes_gangs(driver.job(id)));
  EXPECT_EQ(told("node1", 1), LaunchStep::forget);
  EXPECT_EQ(told("node2", 2), LaunchStep::stop);
  report("node1", 2, GangPhase::finished).outcome = Outcome::cancelled;
  report("node2", 2, GangPhase::finished).outcome = Outcome::cancelled;
  EXPECT_EQ(step(), (Words{"gang_finished 2", "attempt_ended"}));
  EXPECT_EQ(gang(2).outcome, Outcome::cancelled);
  EXPECT_EQ(driver.state(id), JobState::completed);
}

TEST_F(ScriptRuns, ItsFailureEndsAllGangs) {
  run_second();
  GangReport& failed = report("node1", 1, GangPhase::finished);
  failed.outcome = Outcome::failed;
  failed.failure = Failure{.rank = 0, .exit_code = 2};
  EXPECT_EQ(step(), Words{"gang_failed"});
  EXPECT_EQ(driver.state(id), JobState::stopping);
  EXPECT_EQ(told("node2", 2), LaunchStep::stop);
  both(2, GangPhase::finished).outcome = Outcome::cancelled;
  report("node1", 2, GangPhase::finished).outcome = Outcome::cancelled;
  EXPECT_EQ(step(), (Words{"gang_finished", "gang_finished 2", "attempt_ended"}));
  EXPECT_EQ(driver.state(id), JobState::failed);
  EXPECT_EQ(driver.attempt(id).failure->exit_code, 2);
  EXPECT_EQ(gang(2).outcome, Outcome::cancelled);
}

TEST_F(ScriptRuns, ACancelledJobStopsEveryGangAndARequeuedOneStartsAnewWithNone) {
  run_second();
  driver.apply(JobRequeued{id, ada});
  EXPECT_EQ(told("node1", 1), LaunchStep::stop);
  EXPECT_EQ(told("node2", 2), LaunchStep::stop);
  report("node1", 1, GangPhase::finished).outcome = Outcome::cancelled;
  report("node1", 2, GangPhase::finished).outcome = Outcome::cancelled;
  report("node2", 2, GangPhase::finished).outcome = Outcome::cancelled;
  EXPECT_EQ(step(), (Words{"gang_finished", "gang_finished 2", "attempt_ended"}));
  EXPECT_EQ(gang(2).outcome, Outcome::preempted);
  EXPECT_EQ(driver.state(id), JobState::queued);
  driver.round();
  EXPECT_TRUE(driver.attempt(id).gangs.empty());
  driver.apply(GangRequested{id, 1, 3, {}, ada});  // late, of the attempt before
  EXPECT_TRUE(driver.attempt(id).gangs.empty());
}

TEST_F(ScriptRuns, ALostNodeFailsTheGangsThatRanThereButNotTheScript) {
  run_second();
  liveness.nodes["node2"].known_gangs.clear();
  driver.now = driver.now + seconds(1);
  driver.join("node2", "boot-2");
  EXPECT_EQ(step(), Words{"gang_failed 2"});
  EXPECT_EQ(gang(2).outcome, Outcome::node_lost);
  EXPECT_EQ(driver.state(id), JobState::running);
  report("node1", 2, GangPhase::finished).outcome = Outcome::cancelled;
  EXPECT_EQ(step(), Words{"gang_finished 2"});
}

TEST_F(ScriptRuns, ALateLaunchFailsTheGangAlone) {
  ask();
  liveness.gangs[{id, 1, 2}].first_asked_ms = driver.now;
  report("node1", 2, GangPhase::prepared);
  EXPECT_EQ(next_due(driver.scheduler.state(), liveness, driver.now), driver.now + suspect_after);
  driver.now = driver.now + launch_deadline;
  for (auto& [name, node] : liveness.nodes) node.last_heard_ms = driver.now;
  EXPECT_EQ(step(), Words{"gang_failed 2"});
  EXPECT_EQ(gang(2).outcome, Outcome::start_failed);
  EXPECT_EQ(gang(2).failure->node, "node2");
  EXPECT_EQ(driver.state(id), JobState::running);
}

TEST_F(ScriptRuns, AGangIsStoppedOnTheNodesThatAnswerAlthoughOneIsSilent) {
  run_second();
  driver.apply(NodeUnreachable{"node2", {}});
  ASSERT_EQ(driver.state(id), JobState::unknown);
  EXPECT_EQ(told("node1", 2), LaunchStep::nothing);
  driver.apply(GangStopRequested{id, 1, 2, ada});
  EXPECT_EQ(told("node1", 2), LaunchStep::stop);
  report("node1", 2, GangPhase::finished).outcome = Outcome::cancelled;
  EXPECT_EQ(step(), Words{}) << "what runs on a silent node has not ended";
}

TEST_F(ScriptRuns, ItsFirstWordsMayComeBeforeTheReportThatItRuns) {
  Driver other(cluster_of(2, 8));
  const JobId fast = other.submit(script());
  EXPECT_FALSE(takes_gangs(other.job(fast)));
  other.round();
  ASSERT_EQ(other.state(fast), JobState::starting);
  ASSERT_TRUE(takes_gangs(other.job(fast)));
  other.apply(GangRequested{fast, 1, 2, {.command = {"x"}}, ada});
  EXPECT_EQ(launch_step(other.scheduler.state(), liveness, {fast, 1, 2}, "node1"), LaunchStep::prepare);
  other.run(fast);
  EXPECT_EQ(other.attempt(fast).gangs[0].gang, 1);
  EXPECT_EQ(other.attempt(fast).gangs[1].gang, 2);
  other.apply(GangFinished{fast, 1, 1, Outcome::succeeded, {}, {}});
  EXPECT_FALSE(takes_gangs(other.job(fast)));
}

TEST_F(ScriptRuns, APlainJobTakesNoGangs) {
  Driver other(cluster_of(2, 8));
  const JobId plain = other.submit(16, hours(1));
  other.round();
  other.run(plain);
  EXPECT_FALSE(takes_gangs(other.job(plain)));
}

}  // namespace
}  // namespace ultramarine::core
