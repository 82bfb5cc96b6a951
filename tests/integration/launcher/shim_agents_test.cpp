// Real shims whose agents come and go: what lives on, what is found again, and how the end of a shim is noticed.
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/integration/launcher/node_fixture.h"
#include "worker/launcher/message_text.h"
#include "worker/launcher/process_start.h"
#include "worker/launcher/process_tree.h"

namespace ultramarine::launcher {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

using Shims = VirtualNodes;

TEST_F(Shims, OutliveTheAgentWithTheirRanks) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  const auto launch = launch_of({test_rank, "wait", path("fifo")}, {"a"}, 1);
  prepare(launch);
  start(launch);
  until_phase("a", GangPhase::running);
  const auto pids = nodes.at("a").last().pids;
  const std::int64_t shim = shim_pid("a");

  stop_agent("a");
  nodes.at("a").reports.clear();
  start_agent("a");
  nodes.at("a").launcher->adopt();
  until_phase("a", GangPhase::running);
  EXPECT_EQ(nodes.at("a").last().pids, pids);
  EXPECT_EQ(shim_pid("a"), shim);

  write_fifo(path("fifo"), "5");
  wait_finished(launch);
  EXPECT_EQ(nodes.at("a").last().ranks.at(0).exit_code, 5);
  EXPECT_EQ(nodes.at("a").last().ranks.at(0).pid, pids.at(0));
}

TEST_F(Shims, KeepTheEndForAnAgentThatComesLater) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  const auto launch = launch_of({test_rank, "wait", path("fifo")}, {"a"}, 1);
  prepare(launch);
  start(launch);
  until_phase("a", GangPhase::running);
  const std::int64_t shim = shim_pid("a");
  stop_agent("a");
  write_fifo(path("fifo"), "6");
  until([&] { return !runs(shim); }, "the end of the shim");

  nodes.at("a").reports.clear();
  start_agent("a");
  nodes.at("a").launcher->adopt();
  until_phase("a", GangPhase::finished);
  EXPECT_EQ(nodes.at("a").last().ranks.at(0).exit_code, 6);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::failed);
}

TEST_F(Shims, AreMissedWhenKilledAndNothingOfTheGangSurvives) {
  const auto launch = launch_of({test_rank, "escape", path("daemon")}, {"a"}, 1);
  prepare(launch);
  start(launch);
  until_phase("a", GangPhase::running);
  std::int64_t daemon = 0;
  until([&] { return bool(std::ifstream(path("daemon")) >> daemon); }, "the daemon");
  const std::int64_t rank = nodes.at("a").last().pids.at(0);
  ::kill(static_cast<pid_t>(shim_pid("a")), SIGKILL);
  wait_finished(launch);
  const GangReport report = nodes.at("a").last();
  EXPECT_EQ(report.outcome, Outcome::supervisor_lost);
  EXPECT_EQ(report.failure.value().rank, -1);
  EXPECT_FALSE(runs(rank));
  EXPECT_FALSE(runs(daemon));
}

TEST_F(Shims, AreMissedByALaterAgentToo) {
  auto launch = launch_of({test_rank, "escape", path("daemon")}, {"a"}, 2);
  launch.spec.mpi = MpiMode::pmix;  // with files in /dev/shm to be cleaned up
  prepare(launch);
  start(launch);
  until_phase("a", GangPhase::running);
  std::int64_t daemon = 0;
  until([&] { return bool(std::ifstream(path("daemon")) >> daemon); }, "the daemon");
  const std::int64_t shim = shim_pid("a");
  stop_agent("a");
  ::kill(static_cast<pid_t>(shim), SIGKILL);
  until([&] { return !runs(shim); }, "the end of the shim");
  nodes.at("a").reports.clear();
  start_agent("a");
  nodes.at("a").launcher->adopt();
  until_phase("a", GangPhase::finished);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::supervisor_lost);
  EXPECT_FALSE(runs(daemon));
}

TEST_F(Shims, SayOnDiskHowItStandsOnceNoAgentHearsThem) {
  const auto launch = shell("sleep 1000", {"a"}, 1);
  prepare(launch);
  start(launch);
  until_phase("a", GangPhase::running);
  const std::string report = nodes.at("a").launcher->folder(key) + "/report.json";
  EXPECT_FALSE(fs::exists(report)) << "the agent knows it";
  const auto pids = nodes.at("a").last().pids;
  stop_agent("a");
  until([&] { return fs::exists(report); }, "the report on disk");
  const auto on_disk = from_text<GangReport>(read_whole(report).value());
  EXPECT_EQ(on_disk.phase, GangPhase::running);
  EXPECT_EQ(on_disk.pids, pids);
  start_agent("a");
  nodes.at("a").launcher->adopt();
  stop(launch, milliseconds(0));
  wait_finished(launch);
}

TEST_F(Shims, AreMissedEvenIfTheyWentTogetherWithTheAgent) {
  const auto launch = shell("sleep 1000", {"a"}, 1);
  prepare(launch);
  start(launch);
  until_phase("a", GangPhase::running);
  const std::int64_t shim = shim_pid("a"), rank = nodes.at("a").last().pids.at(0);
  ::kill(static_cast<pid_t>(shim), SIGSTOP);  // it has no time to write anything
  stop_agent("a");
  ::kill(static_cast<pid_t>(shim), SIGKILL);
  until([&] { return !runs(shim); }, "the end of the shim");
  EXPECT_FALSE(fs::exists(path("a/jobs/") + text_of(key) + "/report.json"));
  nodes.at("a").reports.clear();
  start_agent("a");
  nodes.at("a").launcher->adopt();
  until_phase("a", GangPhase::finished);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::supervisor_lost) << "its ranks ran";
  EXPECT_FALSE(runs(rank));
}

TEST_F(Shims, GiveUpWhenNobodyStartsThem) {
  const std::string job = path("a/jobs/") + text_of(key);
  make_private_folder(job);
  auto launch = shell("true", {"a"}, 1);
  launch.node = "a";
  write_durably(job + "/launch.json", to_text(LaunchOrder{.settings = {.peer_host = "127.0.0.1", .start_wait_ms = milliseconds(50)}, .launch = launch}));
  const StartResult shim = start_detached(ULTRAMARINE_BINARY_DIR "/bin/ultra-shim", {"--folder", job}, job + "/shim.log");
  ASSERT_EQ(shim.step, StartStep::none);
  until([&] { return !runs(shim.pid); }, "the end of the shim");
  start_agent("a");
  nodes.at("a").launcher->adopt();
  until_phase("a", GangPhase::finished);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::start_failed);
  EXPECT_THAT(nodes.at("a").last().failure.value().detail, HasSubstr("no start came"));
}

TEST_F(Shims, ALaunchThatTheLastAgentOnlyWroteDownIsTakenUp) {
  const std::string job = path("a/jobs/") + text_of(key);
  make_private_folder(job);
  auto launch = shell("exit 4", {"a"}, 1);
  launch.node = "a";
  write_durably(job + "/launch.json", to_text(LaunchOrder{.settings = {.peer_host = "127.0.0.1", .boot_id = boot_id()}, .launch = launch}));
  start_agent("a");
  nodes.at("a").launcher->adopt();
  until_phase("a", GangPhase::prepared);
  start(launch);
  wait_finished(launch);
  EXPECT_EQ(nodes.at("a").last().ranks.at(0).exit_code, 4);
}

TEST_F(Shims, ALaunchOfAnEarlierBootIsNotBegun) {
  const std::string job = path("a/jobs/") + text_of(key);
  make_private_folder(job);
  auto launch = shell("exit 4", {"a"}, 1);
  launch.node = "a";
  write_durably(job + "/launch.json", to_text(LaunchOrder{.settings = {.peer_host = "127.0.0.1", .boot_id = "an earlier one"}, .launch = launch}));
  start_agent("a");
  nodes.at("a").launcher->adopt();
  until_phase("a", GangPhase::finished);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::start_failed);
  EXPECT_THAT(nodes.at("a").last().failure.value().detail, HasSubstr("was rebooted"));
  EXPECT_FALSE(fs::exists(job + "/shim.pid")) << "no supervisor was started";
}

TEST_F(Shims, AForgottenGangLeavesItsLogs) {
  const auto launch = shell("echo kept", {"a"}, 2);
  run(launch);
  nodes.at("a").launcher->forget(key);
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(nodes.at("a").launcher->folder(key))) names.push_back(entry.path().filename());
  EXPECT_THAT(names, testing::UnorderedElementsAre("rank_0.out", "rank_0.err", "rank_1.out", "rank_1.err", "rank_0.out.marks", "rank_1.out.marks"));
  EXPECT_EQ(output("a", 1), "kept\n");
  nodes.at("a").reports.clear();
  nodes.at("a").launcher->adopt();
  loop.run_for(std::chrono::milliseconds(20));
  EXPECT_TRUE(nodes.at("a").reports.empty());
}

TEST_F(Shims, TwoForOneFolderAreOne) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  const auto launch = launch_of({test_rank, "wait", path("fifo")}, {"a"}, 1);
  prepare(launch);
  const std::int64_t first = shim_pid("a");
  const std::string job = nodes.at("a").launcher->folder(key);
  const StartResult second = start_detached(ULTRAMARINE_BINARY_DIR "/bin/ultra-shim", {"--folder", job}, job + "/second.log");
  ASSERT_EQ(second.step, StartStep::none);
  until([&] { return !runs(second.pid); }, "the end of the second");
  EXPECT_EQ(shim_pid("a"), first);
  start(launch);
  until_phase("a", GangPhase::running);
  write_fifo(path("fifo"), "0");
  wait_finished(launch);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::succeeded);
}

}  // namespace
}  // namespace ultramarine::launcher
