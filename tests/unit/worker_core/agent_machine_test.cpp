#include <algorithm>

#include "connected.h"

namespace ultramarine::worker_core {
namespace {

using namespace protocol;

using AgentMachineTest = Connected;

std::string detail(const Actions& actions) {
  const auto reports = sent<GangReport>(actions);
  return reports.empty() || !reports.back().failure ? "" : reports.back().failure->detail;
}

// ---- launch

TEST_F(AgentMachineTest, RemembersTheAttemptBeforeItLaunches) {
  // A crash between the two must leave the attempt known, not the launch unknown.
  const Actions actions = command(prepare(key_of(7, 3)));
  std::size_t remembered = actions.size(), launched = actions.size();
  for (std::size_t i = 0; i < actions.size(); ++i) {
    if (std::holds_alternative<Remember>(actions[i])) remembered = std::min(remembered, i);
    if (std::holds_alternative<LaunchPrepare>(actions[i])) launched = i;
  }
  ASSERT_LT(launched, actions.size());
  ASSERT_LT(remembered, launched);
  const AgentMemory memory = machine.memory();
  EXPECT_EQ(memory.seen.at(JobId{7}).attempt, 3);
  ASSERT_EQ(memory.gangs.size(), 1u);
  EXPECT_EQ(memory.gangs[0].devices, (std::vector<std::int64_t>{0, 1}));
  EXPECT_EQ(memory.gangs[0].first_rank, 3);
  EXPECT_EQ(memory.gangs[0].account, "vision");
  EXPECT_EQ(sent<GangReport>(actions).at(0).phase, GangPhase::preparing);
}

TEST_F(AgentMachineTest, WalksFromPrepareToForget) {
  const GangKey key = key_of(1);
  EXPECT_EQ(only<LaunchPrepare>(command(prepare(key))).size(), 1u);
  EXPECT_EQ(sent<GangReport>(shim(report(key, GangPhase::prepared))).at(0).phase, GangPhase::prepared);
  EXPECT_EQ(told<Start>(command(Start{key, {{.node = "node00"}}})).at(0).peers.at(0).node, "node00");
  EXPECT_EQ(sent<GangReport>(shim(report(key, GangPhase::running))).at(0).pids.size(), 2u);
  EXPECT_EQ(sent<GangReport>(shim(report(key, GangPhase::finished))).at(0).outcome, Outcome::succeeded);
  EXPECT_TRUE(machine.is_over(key));
  EXPECT_EQ(only<ForgetGang>(command(Forget{key})).size(), 1u);
  EXPECT_TRUE(machine.gangs().empty());
  EXPECT_TRUE(command(Forget{key}).empty());
}

TEST_F(AgentMachineTest, RepeatedPrepareGetsTheNewestReportAndLaunchesNothing) {
  const GangKey key = key_of(1);
  run(key);
  const Actions again = command(prepare(key));
  EXPECT_TRUE(only<LaunchPrepare>(again).empty());
  EXPECT_EQ(sent<GangReport>(again).at(0).phase, GangPhase::running);
}

TEST_F(AgentMachineTest, PrepareAfterTheEndStartsNothingTwice) {
  const GangKey key = key_of(1);
  run(key);
  shim(report(key, GangPhase::finished));
  command(Forget{key});
  const Actions late = command(prepare(key));
  EXPECT_TRUE(only<LaunchPrepare>(late).empty());
  EXPECT_EQ(sent<GangReport>(late).at(0).phase, GangPhase::finished);
}

TEST_F(AgentMachineTest, LaterGangOfTheSameAttemptIsLaunched) {
  run(key_of(1, 1, 1));
  shim(report(key_of(1, 1, 1), GangPhase::finished));
  EXPECT_EQ(only<LaunchPrepare>(command(prepare(key_of(1, 1, 2)))).size(), 1u);
}

TEST_F(AgentMachineTest, OlderAttemptIsAnsweredAsCancelledAndNothingHappens) {
  command(prepare(key_of(1, 2)));
  for (const ToAgent& old : {ToAgent{prepare(key_of(1, 1))}, ToAgent{Start{key_of(1, 1), {}}}, ToAgent{Stop{key_of(1, 1), {}}}}) {
    const Actions actions = command(old);
    ASSERT_EQ(actions.size(), 1u);
    EXPECT_EQ(sent<GangReport>(actions).at(0).phase, GangPhase::finished);
    EXPECT_EQ(sent<GangReport>(actions).at(0).outcome, Outcome::cancelled);
    EXPECT_EQ(sent<GangReport>(actions).at(0).key, key_of(1, 1));
  }
}

TEST_F(AgentMachineTest, OlderAttemptIsRefusedAfterARestartToo) {
  command(prepare(key_of(1, 2)));
  AgentMachine restarted(node01(), machine.memory());
  restarted.on_connected();
  restarted.on_scheduler(t0, welcome());
  const Actions actions = restarted.on_scheduler(t0, prepare(key_of(1, 1)));
  EXPECT_TRUE(only<LaunchPrepare>(actions).empty());
  EXPECT_EQ(sent<GangReport>(actions).at(0).outcome, Outcome::cancelled);
}

TEST_F(AgentMachineTest, NewerAttemptStopsTheOlderOneAndWaitsForItsEnd) {
  run(key_of(1, 1));
  const Actions second = command(prepare(key_of(1, 2)));
  EXPECT_TRUE(only<LaunchPrepare>(second).empty());
  EXPECT_EQ(told<Stop>(second).at(0).key, key_of(1, 1));
  EXPECT_EQ(told<Stop>(second).at(0).grace_ms, seconds(7));
  EXPECT_EQ(sent<GangReport>(second).back().phase, GangPhase::preparing);
  EXPECT_TRUE(only<LaunchPrepare>(shim(report(key_of(1, 1), GangPhase::stopping))).empty());
  const Actions ended = shim(report(key_of(1, 1), GangPhase::finished));
  EXPECT_EQ(only<LaunchPrepare>(ended).at(0).launch.key, key_of(1, 2));
}

TEST_F(AgentMachineTest, WaitingLaunchThatIsStoppedIsNeverLaunched) {
  run(key_of(1, 1));
  command(prepare(key_of(1, 2)));
  EXPECT_EQ(sent<GangReport>(command(Stop{key_of(1, 2), {}})).at(0).outcome, Outcome::cancelled);
  EXPECT_TRUE(only<LaunchPrepare>(shim(report(key_of(1, 1), GangPhase::finished))).empty());
}

TEST_F(AgentMachineTest, ThirdAttemptOvertakesAWaitingSecond) {
  run(key_of(1, 1));
  command(prepare(key_of(1, 2)));
  EXPECT_EQ(sent<GangReport>(command(prepare(key_of(1, 3)))).at(0).key, key_of(1, 2));
  const auto launched = only<LaunchPrepare>(shim(report(key_of(1, 1), GangPhase::finished)));
  ASSERT_EQ(launched.size(), 1u);
  EXPECT_EQ(launched[0].launch.key, key_of(1, 3));
}

TEST_F(AgentMachineTest, WaitingLaunchIsOvertakenByAnyWordOfANewerAttempt) {
  run(key_of(1, 1));
  command(prepare(key_of(1, 2)));
  command(Stop{key_of(1, 3), {}});
  EXPECT_TRUE(only<LaunchPrepare>(shim(report(key_of(1, 1), GangPhase::finished))).empty());
  EXPECT_TRUE(machine.is_over(key_of(1, 2)));
}

// ---- refusals

TEST(LaunchCheck, AcceptsWhatIsMeantForThisNode) { EXPECT_EQ(refusal(node01(), prepare(key_of(1)).launch), std::nullopt); }

TEST(LaunchCheck, NamesBothUsersAndTheRemedy) {
  auto launch = prepare(key_of(9)).launch;
  launch.owner = {.uid = 1234, .name = "bob"};
  EXPECT_EQ(refusal(node01(), launch),
            "job 9 belongs to uid 1234 (bob) but the agent of node node01 runs as uid 1000 (ann): run the cluster as bob");
}

TEST(LaunchCheck, AnAgentThatIsRootRunsJobsOfUsersButNotOfTheSystem) {
  AgentIdentity root = node01();
  root.uid = 0;
  auto launch = prepare(key_of(9)).launch;
  EXPECT_EQ(refusal(root, launch), std::nullopt);
  launch.owner = {.uid = 999, .name = "postgres"};
  EXPECT_EQ(refusal(root, launch), "job 9 belongs to uid 999, and node node01 runs no jobs of users below uid 1000 ([agent] minimum_uid): submit it as "
                                   "another user");
  root.minimum_uid = 500;
  EXPECT_EQ(refusal(root, launch), std::nullopt);
  launch.owner.uid = -1;
  EXPECT_NE(refusal(root, launch), std::nullopt);
  launch.owner.uid = 0;
  EXPECT_EQ(refusal(root, launch), "job 9 belongs to root, and node node01 runs no jobs of root: submit it as another user (root_jobs = true in [agent] "
                                   "allows it on a machine of one's own)");
  root.root_jobs = true;
  EXPECT_EQ(refusal(root, launch), std::nullopt);
}

TEST(LaunchCheck, RefusesAnotherNodesLaunch) {
  auto launch = prepare(key_of(1)).launch;
  launch.node = "node02";
  EXPECT_NE(refusal(node01(), launch)->find("node02 reached node node01"), std::string::npos);
}

TEST(LaunchCheck, RefusesDevicesThatDoNotExistOrComeTwiceOrNone) {
  EXPECT_NE(refusal(node01(), prepare(key_of(1), {7, 8}).launch)->find("device 8 of node node01, which has 8"), std::string::npos);
  EXPECT_NE(refusal(node01(), prepare(key_of(1), {-1}).launch)->find("device -1"), std::string::npos);
  EXPECT_NE(refusal(node01(), prepare(key_of(1), {3, 3}).launch)->find("twice for device 3"), std::string::npos);
  EXPECT_NE(refusal(node01(), prepare(key_of(1), {}).launch)->find("no device"), std::string::npos);
}

TEST_F(AgentMachineTest, RefusedLaunchIsStartFailedAndRepeatedUntilForget) {
  Prepare wrong = prepare(key_of(1));
  wrong.launch.owner.uid = 0;
  const Actions refused = command(wrong);
  EXPECT_TRUE(only<LaunchPrepare>(refused).empty());
  EXPECT_EQ(sent<GangReport>(refused).at(0).outcome, Outcome::start_failed);
  EXPECT_EQ(sent<GangReport>(refused).at(0).failure->node, "node01");
  EXPECT_EQ(sent<GangReport>(refused).at(0).failure->rank, -1);
  EXPECT_EQ(sent<GangReport>(reconnect()).at(0).outcome, Outcome::start_failed);
  command(Forget{key_of(1)});
  EXPECT_TRUE(sent<GangReport>(reconnect()).empty());
}

TEST_F(AgentMachineTest, DevicesOfALiveGangAreNotSharedAndFreeOnceItEnds) {
  run(key_of(1), {0, 1, 2});
  const Actions refused = command(prepare(key_of(2), {2, 3}));
  EXPECT_TRUE(only<LaunchPrepare>(refused).empty());
  EXPECT_EQ(sent<GangReport>(refused).at(0).outcome, Outcome::start_failed);
  EXPECT_NE(detail(refused).find("held by job 1 (attempt 1)"), std::string::npos);
  EXPECT_EQ(only<LaunchPrepare>(command(prepare(key_of(3), {3, 4}))).size(), 1u);
  shim(report(key_of(1), GangPhase::finished));
  EXPECT_EQ(only<LaunchPrepare>(command(prepare(key_of(4), {2}))).size(), 1u);
}

TEST_F(AgentMachineTest, GangsOfOneAttemptShareItsDevices) {
  run(key_of(1, 1, 1), {0, 1});
  EXPECT_EQ(only<LaunchPrepare>(command(prepare(key_of(1, 1, 2), {0, 1}))).size(), 1u);
  EXPECT_EQ(only<LaunchPrepare>(command(prepare(key_of(1, 1, 3), {0, 1}))).size(), 1u);
  EXPECT_NE(detail(command(prepare(key_of(2), {1}))).find("held by job 1"), std::string::npos) << "but nobody else does";
  shim(report(key_of(1, 1, 1), GangPhase::finished));
  shim(report(key_of(1, 1, 2), GangPhase::finished));
  EXPECT_NE(detail(command(prepare(key_of(3), {1}))).find("held by job 1"), std::string::npos) << "until the last of them has ended";
  shim(report(key_of(1, 1, 3), GangPhase::finished));
  EXPECT_EQ(only<LaunchPrepare>(command(prepare(key_of(4), {1}))).size(), 1u);
}

TEST(LaunchCheck, RemembersWhichRanksAreHere) {
  LaunchSpec launch = prepare(key_of(1), {4, 5}).launch;  // the second node of the allocation; the first has 3 devices
  const auto ranks_here = [&] {
    const GangRecord record = record_of(node01(), launch);
    EXPECT_EQ(record.devices, (std::vector<std::int64_t>{4, 5}));
    return std::pair(record.first_rank, rank_count(record));
  };
  EXPECT_EQ(ranks_here(), std::pair(std::int64_t{3}, std::int64_t{2}));
  launch.spec.ranks_per_node = 4;
  EXPECT_EQ(ranks_here(), std::pair(std::int64_t{4}, std::int64_t{4}));
  launch.spec.ranks_per_node = 0;
  launch.spec.ranks = 3;
  EXPECT_EQ(ranks_here(), std::pair(std::int64_t{2}, std::int64_t{1}));
  launch.kind = LaunchKind::script;
  launch.allocation = {{"node01", {4, 5}}};
  EXPECT_EQ(ranks_here(), std::pair(std::int64_t{0}, std::int64_t{1}));
  EXPECT_EQ(rank_count(GangRecord{.devices = {1, 2, 3}}), 3) << "of an agent's memory from before there was such a number";
}

TEST_F(AgentMachineTest, DevicesAreHeldAfterARestartTooBeforeTheShimSpeaks) {
  run(key_of(1), {0, 1});
  AgentMachine restarted(node01(), machine.memory());
  restarted.on_connected();
  restarted.on_scheduler(t0, welcome());
  EXPECT_NE(detail(restarted.on_scheduler(t0, prepare(key_of(2), {1}))).find("held by job 1"), std::string::npos);
}

// ---- start and stop

TEST_F(AgentMachineTest, StopBeforeTheShimIsPreparedIsHandedOverOnceItIs) {
  const GangKey key = key_of(1);
  command(prepare(key));
  EXPECT_TRUE(told<Stop>(command(Stop{key, seconds(3)})).empty());
  const Actions prepared = shim(report(key, GangPhase::prepared));
  ASSERT_EQ(told<Stop>(prepared).size(), 1u);
  EXPECT_EQ(told<Stop>(prepared)[0].grace_ms, seconds(3));
  EXPECT_TRUE(told<Start>(command(Start{key, {}})).empty());
}

TEST_F(AgentMachineTest, StartBeforeTheShimIsPreparedIsHandedOverOnceItIs) {
  const GangKey key = key_of(1);
  command(prepare(key));
  EXPECT_TRUE(told<Start>(command(Start{key, {}})).empty());
  EXPECT_EQ(told<Start>(shim(report(key, GangPhase::prepared))).size(), 1u);
}

TEST_F(AgentMachineTest, RepeatedStartOfARunningGangGetsItsReport) {
  run(key_of(1));
  const Actions again = command(Start{key_of(1), {}});
  EXPECT_TRUE(told<Start>(again).empty());
  EXPECT_EQ(sent<GangReport>(again).at(0).phase, GangPhase::running);
}

TEST_F(AgentMachineTest, StartOfAGangThatWasNeverPreparedFails) {
  EXPECT_EQ(sent<GangReport>(command(Start{key_of(1), {}})).at(0).outcome, Outcome::start_failed);
}

TEST_F(AgentMachineTest, StopOfARunningGangGoesToItsShimEachTime) {
  run(key_of(1));
  EXPECT_EQ(told<Stop>(command(Stop{key_of(1), seconds(30)})).size(), 1u);
  EXPECT_EQ(told<Stop>(command(Stop{key_of(1), seconds(0)})).at(0).grace_ms, seconds(0));
}

TEST_F(AgentMachineTest, StopOfAFinishedGangGetsItsReport) {
  run(key_of(1));
  shim(report(key_of(1), GangPhase::finished));
  const Actions actions = command(Stop{key_of(1), {}});
  EXPECT_TRUE(told<Stop>(actions).empty());
  EXPECT_EQ(sent<GangReport>(actions).at(0).outcome, Outcome::succeeded);
}

TEST_F(AgentMachineTest, StopOfAnUnknownGangIsAnsweredFinishedAndItsLatePrepareIsRefused) {
  const Actions stopped = command(Stop{key_of(5), {}});
  EXPECT_EQ(sent<GangReport>(stopped).at(0).phase, GangPhase::finished);
  EXPECT_EQ(sent<GangReport>(stopped).at(0).outcome, Outcome::cancelled);
  command(Forget{key_of(5)});
  EXPECT_TRUE(only<LaunchPrepare>(command(prepare(key_of(5)))).empty());
  EXPECT_EQ(only<LaunchPrepare>(command(prepare(key_of(5, 2)))).size(), 1u);
}

TEST_F(AgentMachineTest, ForgetOfALiveGangStopsItAndForgetsItAtItsEnd) {
  run(key_of(1));
  const Actions given_up = command(Forget{key_of(1)});
  EXPECT_EQ(told<Stop>(given_up).size(), 1u);
  EXPECT_TRUE(only<ForgetGang>(given_up).empty());
  EXPECT_EQ(only<ForgetGang>(shim(report(key_of(1), GangPhase::finished))).size(), 1u);
  EXPECT_TRUE(machine.gangs().empty());
}

// ---- reports

TEST_F(AgentMachineTest, HelloListsEveryGangAndAReportOfEachFollowsTheWelcome) {
  run(key_of(1), {0});
  run(key_of(2), {1});
  shim(report(key_of(2), GangPhase::finished));
  machine.on_disconnected();
  const Actions hello = machine.on_connected();
  ASSERT_EQ(hello.size(), 1u);
  EXPECT_EQ(sent<Hello>(hello).at(0).gangs, (std::vector<GangKey>{key_of(1), key_of(2)}));
  EXPECT_EQ(sent<Hello>(hello).at(0).node, "node01");
  EXPECT_FALSE(sent<Hello>(hello).at(0).launches_as_owner);
  AgentIdentity root = node01();
  root.uid = 0;
  EXPECT_TRUE(sent<Hello>(AgentMachine(root, AgentMemory{}).on_connected()).at(0).launches_as_owner);
  const Actions welcomed = machine.on_scheduler(t0, welcome());
  ASSERT_EQ(sent<GangReport>(welcomed).size(), 2u);
  EXPECT_EQ(sent<GangReport>(welcomed)[0].phase, GangPhase::running);
  EXPECT_EQ(sent<GangReport>(welcomed)[1].phase, GangPhase::finished);
}

TEST_F(AgentMachineTest, NothingIsSentWhileDisconnectedAndTheEndIsToldAfterwards) {
  run(key_of(1));
  machine.on_disconnected();
  EXPECT_TRUE(only<Send>(shim(report(key_of(1), GangPhase::finished))).empty());
  EXPECT_EQ(machine.next_wakeup(), std::nullopt);
  EXPECT_EQ(sent<GangReport>(reconnect()).at(0).phase, GangPhase::finished);
}

TEST_F(AgentMachineTest, TroubleIsToldOnceAndAheadOfTheReports) {
  EXPECT_EQ(sent<NodeTrouble>(machine.on_trouble({.reason = "one"})).at(0).reason, "one");
  run(key_of(1));
  machine.on_disconnected();
  EXPECT_TRUE(machine.on_trouble({.reason = "two", .requeue = {key_of(1)}}).empty());
  const Actions welcomed = reconnect();
  ASSERT_EQ(sent<NodeTrouble>(welcomed).size(), 1u);
  EXPECT_EQ(sent<NodeTrouble>(welcomed)[0].requeue, (std::vector<GangKey>{key_of(1)}));
  EXPECT_TRUE(std::holds_alternative<NodeTrouble>(only<Send>(welcomed).at(1).message));
  machine.on_disconnected();
  EXPECT_TRUE(sent<NodeTrouble>(reconnect()).empty());
}

TEST_F(AgentMachineTest, RefusedWelcomeOpensNothing) {
  run(key_of(1));
  machine.on_disconnected();
  machine.on_connected();
  EXPECT_TRUE(machine.on_scheduler(t0, Welcome{.accepted = false, .error = "unknown node"}).empty());
  EXPECT_TRUE(only<Send>(shim(report(key_of(1), GangPhase::stopping))).empty());
}

TEST_F(AgentMachineTest, PhaseNeverGoesBack) {
  run(key_of(1));
  EXPECT_TRUE(shim(report(key_of(1), GangPhase::prepared)).empty());
  shim(report(key_of(1), GangPhase::finished));
  EXPECT_TRUE(shim(report(key_of(1), GangPhase::running)).empty());
  EXPECT_TRUE(machine.is_over(key_of(1)));
}

TEST_F(AgentMachineTest, EndSurvivesARestartWithoutAnyShim) {
  // The shim is gone once the gang has finished: the agent's own file is what tells the scheduler.
  run(key_of(1));
  GangReport end = report(key_of(1), GangPhase::finished);
  end.ranks = {{.rank = 3, .exit_code = 4}};
  EXPECT_EQ(only<Remember>(shim(end)).size(), 1u);
  AgentMachine restarted(node01(), machine.memory());
  EXPECT_EQ(sent<Hello>(restarted.on_connected()).at(0).gangs.size(), 1u);
  const auto reports = sent<GangReport>(restarted.on_scheduler(t0, welcome()));
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].ranks.at(0).exit_code, 4);
}

TEST_F(AgentMachineTest, RestartedAgentKnowsItsGangsButReportsThemOnlyOnceTheShimSpoke) {
  run(key_of(1));
  AgentMachine restarted(node01(), machine.memory());
  EXPECT_EQ(sent<Hello>(restarted.on_connected()).at(0).gangs.size(), 1u);
  EXPECT_TRUE(sent<GangReport>(restarted.on_scheduler(t0, welcome())).empty());
  EXPECT_TRUE(told<Stop>(restarted.on_scheduler(t0, Stop{key_of(1), seconds(1)})).empty());
  const Actions heard = restarted.on_shim(t0, report(key_of(1), GangPhase::running));
  EXPECT_EQ(sent<GangReport>(heard).at(0).phase, GangPhase::running);
  EXPECT_EQ(told<Stop>(heard).size(), 1u);
}

TEST_F(AgentMachineTest, RememberedGangWithoutATraceIsReportedLost) {
  command(prepare(key_of(1)));
  AgentMachine restarted(node01(), machine.memory());
  restarted.on_lost_gang(t0, key_of(1));
  restarted.on_connected();
  const auto reports = sent<GangReport>(restarted.on_scheduler(t0, welcome()));
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].outcome, Outcome::supervisor_lost);
  EXPECT_TRUE(only<LaunchPrepare>(restarted.on_scheduler(t0, prepare(key_of(1)))).empty());
}

TEST_F(AgentMachineTest, ShimThatNobodyRemembersIsReportedAndRemembered) {
  const Actions actions = shim(report(key_of(8), GangPhase::running));
  EXPECT_EQ(only<Remember>(actions).size(), 1u);
  EXPECT_EQ(machine.memory().gangs.size(), 1u);
  EXPECT_EQ(sent<GangReport>(actions).at(0).phase, GangPhase::running);
  EXPECT_EQ(told<Stop>(command(Stop{key_of(8), {}})).size(), 1u);
}

// ---- checkpoints and progress

TEST_F(AgentMachineTest, CheckpointIsRepeatedUntilRecordedAndTheShimIsTold) {
  const GangKey key = key_of(1);
  run(key);
  const CheckpointReport checkpoint{key, 50, "/data/50"};
  const Actions first = shim(checkpoint);
  EXPECT_EQ(sent<CheckpointReport>(first).size(), 1u);
  EXPECT_EQ(only<Remember>(first).size(), 1u);
  EXPECT_EQ(machine.memory().gangs.at(0).checkpoints.size(), 1u);
  EXPECT_EQ(sent<CheckpointReport>(machine.on_time(t0 + checkpoint_repeat_interval)).size(), 1u);
  EXPECT_EQ(sent<CheckpointReport>(reconnect()).size(), 1u);
  EXPECT_EQ(told<CheckpointRecorded>(command(CheckpointRecorded{key, 50})).at(0).step, 50);
  EXPECT_TRUE(sent<CheckpointReport>(machine.on_time(t0 + seconds(60))).empty());
  EXPECT_TRUE(sent<CheckpointReport>(reconnect()).empty());
}

TEST_F(AgentMachineTest, UnrecordedCheckpointGoesAheadOfTheEnd) {
  // After the end of the attempt the scheduler takes no checkpoint any more.
  run(key_of(1));
  machine.on_disconnected();
  shim(CheckpointReport{key_of(1), 50, "/data/50"});
  shim(report(key_of(1), GangPhase::finished));
  const auto sends = only<Send>(reconnect());
  ASSERT_EQ(sends.size(), 3u);
  EXPECT_TRUE(std::holds_alternative<CheckpointReport>(sends[1].message));
  EXPECT_TRUE(std::holds_alternative<GangReport>(sends[2].message));
}

TEST_F(AgentMachineTest, UnrecordedCheckpointSurvivesARestart) {
  run(key_of(1));
  shim(CheckpointReport{key_of(1), 50, "/data/50"});
  AgentMachine restarted(node01(), machine.memory());
  restarted.on_connected();
  restarted.on_scheduler(t0, welcome());
  EXPECT_EQ(sent<CheckpointReport>(restarted.on_time(t0 + checkpoint_repeat_interval)).at(0).path, "/data/50");
}

TEST_F(AgentMachineTest, ProgressIsThrottledAndTheNewestWins) {
  const GangKey key = key_of(1);
  run(key);
  EXPECT_EQ(sent<Progress>(shim(Progress{.key = key, .step = 1})).size(), 1u);
  EXPECT_TRUE(shim(Progress{.key = key, .step = 2}, t0 + milliseconds(300)).empty());
  EXPECT_TRUE(shim(Progress{.key = key, .step = 3}, t0 + milliseconds(600)).empty());
  EXPECT_EQ(machine.next_wakeup(), t0 + progress_interval);
  EXPECT_TRUE(sent<Progress>(machine.on_time(t0 + milliseconds(999))).empty());
  const auto later = sent<Progress>(machine.on_time(t0 + progress_interval));
  ASSERT_EQ(later.size(), 1u);
  EXPECT_EQ(later[0].step, 3);
}

TEST_F(AgentMachineTest, LastProgressGoesAheadOfTheEnd) {
  const GangKey key = key_of(1);
  run(key);
  shim(Progress{.key = key, .step = 1});
  shim(Progress{.key = key, .step = 2}, t0 + milliseconds(10));
  const auto sends = only<Send>(shim(report(key, GangPhase::finished), t0 + milliseconds(20)));
  ASSERT_EQ(sends.size(), 2u);
  EXPECT_EQ(std::get<Progress>(sends[0].message).step, 2);
}

TEST_F(AgentMachineTest, ThatAGangIsStillIsSaidAtOnceAndToEveryNewScheduler) {
  const GangKey key = key_of(1);
  EXPECT_TRUE(told<Examine>(command(Examine{key})).empty()) << "it doesn't run";
  run(key);
  EXPECT_EQ(told<Examine>(command(Examine{key})).size(), 1u);
  const GangStillness still{.key = key, .watched = true, .over = true, .ranks = {{.rank = 3}}};
  EXPECT_EQ(sent<GangStillness>(shim(still)).size(), 1u);
  EXPECT_EQ(sent<GangStillness>(shim(still)).size(), 1u) << "with new looks";
  const auto again = only<Send>(reconnect());
  const auto place = [&](auto is) { return std::find_if(again.begin(), again.end(), is) - again.begin(); };
  const auto of_stillness = place([](const Send& one) { return std::holds_alternative<GangStillness>(one.message); });
  const auto of_report = place([](const Send& one) { return std::holds_alternative<GangReport>(one.message); });
  EXPECT_LT(of_stillness, of_report) << "whoever hears that it runs is to know that it does nothing";
  EXPECT_EQ(sent<GangStillness>(shim(GangStillness{.key = key})).at(0).ranks.size(), 0u);
  EXPECT_TRUE(sent<GangStillness>(reconnect()).empty()) << "it went on";
  shim(still);
  shim(report(key, GangPhase::finished));
  EXPECT_TRUE(sent<GangStillness>(reconnect()).empty());
  EXPECT_TRUE(shim(still).empty());
}

// ---- devices

TEST_F(AgentMachineTest, LostDeviceFailsWhoHoldsItAndNobodyElse) {
  run(key_of(1), {0, 1});
  run(key_of(2), {2, 3});
  const Failure failure{.node = "node01", .detail = "device 1 (GPU-b) reported Xid 79", .node_at_fault = true, .at_ms = t0};
  const Actions actions = machine.on_device_lost({1}, failure);
  const auto reports = sent<GangReport>(actions);
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].key, key_of(1));
  EXPECT_EQ(reports[0].phase, GangPhase::running);
  EXPECT_EQ(reports[0].outcome, Outcome::device_lost);
  EXPECT_EQ(reports[0].failure->detail, failure.detail);
  ASSERT_TRUE(std::holds_alternative<Remember>(actions.front()));
  ASSERT_TRUE(std::holds_alternative<TellShim>(actions.back()));
  EXPECT_EQ(std::get<TellShim>(actions.back()).key, key_of(1));
  EXPECT_TRUE(std::holds_alternative<Stop>(std::get<TellShim>(actions.back()).message));
  EXPECT_TRUE(machine.on_device_lost({1}, failure).empty());

  // Whatever the shim makes of it, the end is put down to the device; also after a restart.
  AgentMachine later{node01(), machine.memory()};
  later.on_connected();
  later.on_scheduler(t0, welcome());
  GangReport end = report(key_of(1), GangPhase::finished);
  end.outcome = Outcome::cancelled;
  for (AgentMachine* one : {&machine, &later}) {
    const auto ended = sent<GangReport>(one->on_shim(t0, end));
    ASSERT_EQ(ended.size(), 1u);
    EXPECT_EQ(ended[0].outcome, Outcome::device_lost);
    EXPECT_EQ(ended[0].failure->detail, failure.detail);
  }
  EXPECT_TRUE(machine.on_device_lost({1}, failure).empty());
}

// ---- time

TEST_F(AgentMachineTest, HeartbeatsFollowTheIntervalOfTheWelcome) {
  machine.on_scheduler(t0, welcome(250));
  EXPECT_EQ(machine.next_wakeup(), t0 + milliseconds(250));
  EXPECT_TRUE(machine.on_time(t0 + milliseconds(249)).empty());
  EXPECT_EQ(sent<Heartbeat>(machine.on_time(t0 + milliseconds(250))).at(0).sequence, 1);
  EXPECT_EQ(sent<Heartbeat>(machine.on_time(t0 + milliseconds(500))).at(0).sequence, 2);
}

TEST_F(AgentMachineTest, ANodeThatCantStartAnythingRefusesWhatIsNewAndIsToBlame) {
  run(key_of(1));
  const auto known = sent<GangReport>(machine.on_unlaunchable(t0, key_of(1), "the disk is full"));
  ASSERT_EQ(known.size(), 1U);
  EXPECT_EQ(known[0].phase, GangPhase::running);
  const auto refused = sent<GangReport>(machine.on_unlaunchable(t0, key_of(2), "the disk is full"));
  ASSERT_EQ(refused.size(), 1U);
  EXPECT_EQ(refused[0].outcome, Outcome::start_failed);
  EXPECT_TRUE(refused[0].failure->node_at_fault);
  EXPECT_EQ(refused[0].failure->detail, "node node01 can't start it: the disk is full");
}

// ---- memory

TEST_F(AgentMachineTest, MemoryOfAttemptsIsBoundedAndKeepsTheNewestJobs) {
  for (std::int64_t job = 1; job <= static_cast<std::int64_t>(seen_jobs_max) + 10; ++job) {
    command(Stop{key_of(job), {}});
    command(Forget{key_of(job)});
  }
  const AgentMemory memory = machine.memory();
  EXPECT_EQ(memory.seen.size(), seen_jobs_max);
  EXPECT_FALSE(memory.seen.contains(JobId{1}));
  EXPECT_TRUE(memory.seen.contains(JobId{static_cast<std::int64_t>(seen_jobs_max) + 10}));
}

}  // namespace
}  // namespace ultramarine::worker_core
