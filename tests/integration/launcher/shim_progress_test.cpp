// What ranks tell a real shim (progress, checkpoints), and what it makes of that when nobody hears it.
#include <filesystem>
#include <fstream>

#include "tests/integration/launcher/node_fixture.h"
#include "worker/launcher/message_text.h"

namespace ultramarine::launcher {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

using Shims = VirtualNodes;

TEST_F(Shims, CollectProgressAndAnswerCheckpoints) {
  auto launch = shell(test_rank + " progress 500 && " + test_rank + " checkpoint 40", {"a"}, 1);
  prepare(launch);
  start(launch);
  until([&] { return !nodes.at("a").checkpoints.empty(); }, "the checkpoint");
  EXPECT_EQ(nodes.at("a").checkpoints.at(0).step, 40);
  EXPECT_EQ(nodes.at("a").checkpoints.at(0).path, "/data/step");
  EXPECT_NE(nodes.at("a").last().phase, GangPhase::finished) << "the rank waits for the answer";
  nodes.at("a").launcher->send(key, protocol::CheckpointRecorded{.key = key, .step = 40});
  wait_finished(launch);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::succeeded);
  EXPECT_EQ(output("a", 0), "recorded\n");
  const RankResult result = nodes.at("a").last().ranks.at(0);
  EXPECT_EQ(result.collective_count, 12);
  EXPECT_EQ(result.collective_bytes, 4096);
  const auto& progress = nodes.at("a").progress;
  ASSERT_FALSE(progress.empty());
  EXPECT_LE(progress.size(), 3U) << "500 steps in a moment are not 500 messages";
  EXPECT_EQ(progress.back().step, 500);
  EXPECT_EQ(progress.back().tokens, 50'000);
  EXPECT_EQ(progress.back().phase, "warm-up");
}

TEST_F(Shims, ACheckpointThatIsSaidAgainSinceTheStopIsHandedOn) {
  const std::string save = test_rank + " checkpoint 8";
  auto launch = shell("trap '" + save + "; exit 0' TERM; " + save + "; while :; do sleep 0.05; done", {"a"}, 1);
  prepare(launch);
  start(launch);
  until([&] { return !nodes.at("a").checkpoints.empty(); }, "the checkpoint");
  nodes.at("a").launcher->send(key, protocol::CheckpointRecorded{.key = key, .step = 8});
  until([&] { return output("a", 0) == "recorded\n"; }, "its answer");
  nodes.at("a").checkpoints.clear();
  stop(launch, Duration{60'000});
  until([&] { return !nodes.at("a").checkpoints.empty(); }, "it again: there is something to go on with");
  nodes.at("a").launcher->send(key, protocol::CheckpointRecorded{.key = key, .step = 8});
  wait_finished(launch);
  EXPECT_EQ(output("a", 0), "recorded\nrecorded\n");
}

TEST_F(Shims, WhoSavesWhileNobodyAnswersHearsThatTheNodeKeepsIt) {
  auto launch = shell(test_rank + " progress 3 && " + test_rank + " checkpoint 40", {"a"}, 1);
  launch.timeouts.checkpoint_answer_ms = Duration{250};
  prepare(launch);
  start(launch);
  wait_finished(launch);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::succeeded);
  EXPECT_EQ(output("a", 0), "kept\n");
  ASSERT_FALSE(nodes.at("a").checkpoints.empty()) << "it is said all the same";
  EXPECT_EQ(nodes.at("a").checkpoints.at(0).step, 40);
}

TEST_F(Shims, AJobThatAskedForItStopsOnceItIsCutOffWhateverItDoes) {
  auto busy = shell("i=0; while :; do i=$((i+1)); " + test_rank + " progress $i; sleep 0.02; done", {"a"}, 1);
  busy.spec.stop_when_cut_off_ms = busy.self_stop_ms = Duration{600};
  prepare(busy);
  start(busy);
  until([&] { return nodes.at("a").last().phase == GangPhase::running; }, "its ranks");
  EXPECT_EQ(nodes.at("a").last().self_stop_ms.ms, 600) << "promised from the beginning";
  const auto begin = std::chrono::steady_clock::now();
  until([&] {
    nodes.at("a").launcher->send(key, protocol::Lease{key, {}, {}});
    return std::chrono::steady_clock::now() - begin > std::chrono::milliseconds(1500);
  }, "longer than that, while the scheduler hears it");
  EXPECT_EQ(nodes.at("a").last().phase, GangPhase::running);
  wait_finished(busy);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::node_lost);
  EXPECT_THAT(nodes.at("a").last().failure->detail, testing::HasSubstr("and the job was to stop there then"));
}

/// Reports a step, then does nothing for ever.
constexpr const char* one_step = " progress 1 && while :; do sleep 0.05; done";

TEST_F(Shims, APartThatIsCutOffAndGetsNoFurtherEndsItself) {
  auto launch = shell(test_rank + one_step, {"a"}, 1);
  launch.self_stop_ms = Duration{300};
  prepare(launch);
  start(launch);
  until([&] { return nodes.at("a").last().self_stop_ms.ms >= 300; }, "the promise");
  wait_finished(launch);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::node_lost);
  EXPECT_TRUE(nodes.at("a").last().failure->node_at_fault);
  EXPECT_THAT(nodes.at("a").last().failure->detail, testing::HasSubstr("a has lost the scheduler, and its ranks got no further for"));
}

TEST_F(Shims, APartThatTheSchedulerHearsGoesOn) {
  auto heard = shell(test_rank + one_step, {"a"}, 1);
  heard.self_stop_ms = Duration{300};
  prepare(heard);
  start(heard);
  until([&] { return nodes.at("a").last().self_stop_ms.ms >= 300; }, "the promise");
  const auto begin = std::chrono::steady_clock::now();
  until([&] {
    nodes.at("a").launcher->send(key, protocol::Lease{key});
    return std::chrono::steady_clock::now() - begin > std::chrono::milliseconds(2500);
  }, "longer than it promised to live alone");
  EXPECT_EQ(nodes.at("a").last().phase, GangPhase::running);
  stop(heard, Duration{0});
  wait_finished(heard);
}

TEST_F(Shims, AnAnswerThatComesLateIsNoSignThatTheSchedulerHearsThePart) {
  auto stuck = shell(test_rank + one_step, {"a"}, 1);
  stuck.self_stop_ms = Duration{300};
  prepare(stuck);
  start(stuck);
  until([&] { return nodes.at("a").last().self_stop_ms.ms >= 300; }, "the promise");
  until([&] {
    if (nodes.at("a").last().phase == GangPhase::running) nodes.at("a").launcher->send(key, protocol::Lease{key, Duration{60'000}, {}});
    return nodes.at("a").last().phase == GangPhase::finished;
  }, "its end, although answers keep coming");
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::node_lost);
}

TEST_F(Shims, APartThatGetsFurtherGoesOn) {
  auto busy = shell("i=0; while [ $i -lt 30 ]; do i=$((i+1)); " + test_rank + " progress $i; sleep 0.05; done", {"a"}, 1);
  busy.self_stop_ms = Duration{300};
  prepare(busy);
  start(busy);
  wait_finished(busy);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::succeeded) << "no scheduler in sight, but it got further all the time";
}

TEST_F(Shims, ACheckpointIsNotForgottenWhileNoAgentIsThere) {
  const auto launch = launch_of({test_rank, "checkpoint", "8"}, {"a"}, 1);
  prepare(launch);
  start(launch);
  until([&] { return !nodes.at("a").checkpoints.empty(); }, "the checkpoint");
  stop_agent("a");
  nodes.at("a").checkpoints.clear();
  const std::int64_t shim = shim_pid("a");
  ::kill(static_cast<pid_t>(shim), SIGTERM);  // somebody ends it in order
  until([&] { return !runs(shim); }, "the end of the shim");
  nodes.at("a").reports.clear();
  start_agent("a");
  nodes.at("a").launcher->adopt();
  until_phase("a", GangPhase::finished);
  ASSERT_EQ(nodes.at("a").checkpoints.size(), 1U);
  EXPECT_EQ(nodes.at("a").checkpoints.at(0).step, 8);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::cancelled);
}

}  // namespace
}  // namespace ultramarine::launcher
