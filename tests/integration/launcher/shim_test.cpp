// The real ultra-shim with real ranks: starts, ends, failures, limits.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "scheduler/net/endpoint.h"
#include "tests/integration/launcher/node_fixture.h"
#include "worker/launcher/message_text.h"
#include "worker/launcher/process_start.h"
#include "worker/launcher/process_tree.h"

namespace ultramarine::launcher {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

using Shims = VirtualNodes;

std::string variable(const std::string& output, const std::string& name) {
  const std::size_t at = ("\n" + output).find("\n" + name + "=");
  if (at == std::string::npos) return "(unset)";
  const std::size_t from = at + name.size() + 1;
  return output.substr(from, output.find('\n', from) - from);
}

TEST_F(Shims, RunRanksOnTwoNodesAndReportEachOfThem) {
  const auto launch = shell("env", {"node01", "node02"}, 2);
  prepare(launch);
  EXPECT_EQ(nodes.at("node01").last().peer.address, "127.0.0.1");
  EXPECT_GT(nodes.at("node01").last().peer.master_port, 0);
  EXPECT_EQ(nodes.at("node02").last().peer.master_port, 0);
  start(launch);
  wait_finished(launch);
  for (int rank = 0; rank < 4; ++rank) {
    const std::string node = rank < 2 ? "node01" : "node02";
    const std::string seen = output(node, rank);
    EXPECT_EQ(variable(seen, "RANK"), std::to_string(rank));
    EXPECT_EQ(variable(seen, "LOCAL_RANK"), std::to_string(rank % 2));
    EXPECT_EQ(variable(seen, "WORLD_SIZE"), "4");
    EXPECT_EQ(variable(seen, "ULTRA_NODE"), node);
    EXPECT_EQ(variable(seen, "ULTRA_NODELIST"), "node[01-02]");
    EXPECT_EQ(variable(seen, "MASTER_ADDR"), "127.0.0.1");
    EXPECT_EQ(variable(seen, "MASTER_PORT"), std::to_string(nodes.at("node01").last().peer.master_port));
    EXPECT_EQ(variable(seen, "CUDA_VISIBLE_DEVICES"), "");
    EXPECT_EQ(variable(seen, "PMIX_RANK"), "(unset)") << "mpi = none";
    const RankResult result = nodes.at(node).last().ranks.at(static_cast<std::size_t>(rank % 2));
    EXPECT_EQ(result.rank, rank);
    EXPECT_EQ(result.node, node);
    EXPECT_EQ(result.pid, nodes.at(node).last().pids.at(static_cast<std::size_t>(rank % 2)));
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_GT(result.peak_memory_bytes, 0);
    EXPECT_GT(result.ended_ms.ms, 0);
  }
  EXPECT_EQ(nodes.at("node02").last().outcome, Outcome::succeeded);
  const std::string job = nodes.at("node01").launcher->folder(key);
  EXPECT_EQ(from_text<GangReport>(read_whole(job + "/report.json").value()).phase, GangPhase::finished);
  EXPECT_FALSE(fs::exists(job + "/launch.json")) << "it holds secrets";
  EXPECT_FALSE(fs::exists(job + "/progress.sock"));
}

TEST_F(Shims, KeepExitCodesAndSignals) {
  run(shell("exit 7", {"a"}, 1));
  GangReport report = nodes.at("a").last();
  EXPECT_EQ(report.outcome, Outcome::failed);
  EXPECT_EQ(report.ranks.at(0).exit_code, 7);
  EXPECT_EQ(report.failure.value().detail, "rank 0 on a exited with code 7");
  nodes.clear();

  key.gang = 2;
  run(shell("kill -SEGV $$", {"a"}, 1));
  report = nodes.at("a").last();
  EXPECT_EQ(report.ranks.at(0).signal, SIGSEGV);
  EXPECT_EQ(report.failure.value().signal, SIGSEGV);
  EXPECT_EQ(report.failure.value().detail, "rank 0 on a was ended by SIGSEGV (Segmentation fault)");
  nodes.clear();

  key.gang = 3;
  run(shell("kill -KILL $$", {"a"}, 1));
  report = nodes.at("a").last();
  EXPECT_EQ(report.outcome, Outcome::failed);
  EXPECT_EQ(report.failure.value().signal, SIGKILL);
}

TEST_F(Shims, RefuseBeforeTheStartWhatCannotRun) {
  const auto refused = [&](const protocol::LaunchSpec& launch) {
    nodes.clear();
    ++key.gang;
    auto copy = launch;
    copy.key = key;
    prepare(copy);
    const GangReport report = nodes.at("a").last();
    EXPECT_EQ(report.phase, GangPhase::finished);
    EXPECT_EQ(report.outcome, Outcome::start_failed);
    EXPECT_EQ(report.failure.value().rank, -1);
    EXPECT_FALSE(fs::exists(nodes.at("a").launcher->folder(key) + "/launch.json"));
    return report.failure.value().detail;
  };
  EXPECT_EQ(refused(launch_of({"no-such-program"}, {"a"}, 1)), "command not found: no-such-program is in no folder of the job's PATH on a");
  auto launch = shell("true", {"a"}, 1);
  launch.spec.working_directory = "/no/such/folder";
  EXPECT_EQ(refused(launch), "working directory /no/such/folder does not exist on a");
}

TEST_F(Shims, RefuseAtTheStartWhatOnlyTheKernelKnows) {
  const std::string script = path("script");
  std::ofstream(script) << "#!/no/such/interpreter\n";
  ::chmod(script.c_str(), 0755);
  const auto launch = launch_of({script}, {"a"}, 2);
  run(launch);
  const GangReport report = nodes.at("a").last();
  EXPECT_EQ(report.outcome, Outcome::start_failed);
  EXPECT_THAT(report.failure.value().detail, HasSubstr("the interpreter in its #! line does not exist"));
}

TEST_F(Shims, AFullStartFailureOfTheShimIsReportedToo) {
  start_agent("a");
  nodes.at("a").launcher = make_shim_launcher(
      loop, {.jobs_folder = path("a/jobs"), .shim_program = path("no-shim"), .peer_host = "127.0.0.1", .root_jobs = true},
      [this](const protocol::FromShim& message) { nodes.at("a").reports.push_back(std::get<GangReport>(message)); });
  prepare(shell("true", {"a"}, 1));
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::start_failed);
  EXPECT_THAT(nodes.at("a").last().failure.value().detail, HasSubstr("the supervisor can't be started"));
}

TEST_F(Shims, TheFirstFailureIsNamedAndStopsTheOthers) {
  const auto launch = shell("if [ $RANK = 3 ]; then echo working; echo 'no more memory' >&2; exit 3; fi; sleep 1000", {"a", "b"}, 2);
  prepare(launch);
  start(launch);
  until([&] { return nodes.at("b").last().failure.has_value(); }, "the failure");
  const GangReport first = nodes.at("b").last();
  EXPECT_EQ(first.outcome, Outcome::failed);
  EXPECT_EQ(first.failure->rank, 3);
  EXPECT_EQ(first.failure->node, "b");
  EXPECT_EQ(first.failure->exit_code, 3);
  EXPECT_THAT(first.failure->last_lines, ElementsAre("working", "no more memory"));
  until_phase("b", GangPhase::finished);
  EXPECT_EQ(nodes.at("b").last().ranks.at(0).signal, SIGTERM);
  until([&] { return nodes.at("a").last().phase >= GangPhase::running; }, "node a's word on its start");
  EXPECT_EQ(nodes.at("a").last().phase, GangPhase::running) << "other nodes wait for the scheduler's word";
  stop(launch, seconds(5));
  wait_finished(launch);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::cancelled);
  EXPECT_FALSE(nodes.at("a").last().failure);
}

TEST_F(Shims, TheTimeLimitEndsEvenWhatHidesAndIgnoresSigterm) {
  auto launch = launch_of({test_rank, "escape", path("daemon")}, {"a"}, 1);
  launch.spec.time_limit_ms = milliseconds(300);
  launch.spec.stop_grace_ms = milliseconds(200);
  prepare(launch);
  start(launch);
  until_phase("a", GangPhase::running);
  const auto began = std::chrono::steady_clock::now();
  wait_finished(launch);
  const GangReport report = nodes.at("a").last();
  EXPECT_EQ(report.outcome, Outcome::timed_out);
  EXPECT_FALSE(report.failure);
  EXPECT_EQ(report.ranks.at(0).signal, SIGKILL);
  EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(400));
  std::int64_t daemon = 0;
  ASSERT_TRUE(std::ifstream(path("daemon")) >> daemon);
  EXPECT_FALSE(runs(daemon));
}

TEST_F(Shims, RanksMayFinishTheirWorkWithinTheGrace) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  const auto launch = shell("trap 'echo saved; exit 0' TERM; echo > fifo; while :; do sleep 0.05; done", {"a"}, 1);
  prepare(launch);
  start(launch);
  until_phase("a", GangPhase::running);
  std::string word;
  std::ifstream fifo(path("fifo"));
  std::getline(fifo, word);  // until the trap is set
  stop(launch, seconds(20));
  wait_finished(launch);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::cancelled);
  EXPECT_EQ(nodes.at("a").last().ranks.at(0).exit_code, 0);
  EXPECT_EQ(output("a", 0), "saved\n");
}

TEST_F(Shims, AProgramWithASignalOfItsOwnIsAskedByItAndTerminatedOnceItHasSaved) {
  // One per way to answer: it leaves by itself, it waits to be told, nothing ever comes of it.
  const std::string listens = "trap 'echo term; exit 85' TERM; echo ready; while :; do sleep 0.05; done";
  std::vector<protocol::LaunchSpec> launches{shell("trap 'echo saved; exit 85' USR2; " + listens, {"leaves"}, 1),
                                             shell("trap 'echo saved' USR2; " + listens, {"waits"}, 1),
                                             shell("trap '' USR2; " + listens, {"deaf"}, 1)};
  for (auto& launch : launches) {
    launch.spec.warning = WarningSignal{.signal = SIGUSR2};
    prepare(launch);
    start(launch);
  }
  const auto said = [&](const char* name) {
    return read_whole(nodes.at(name).launcher->folder(launches[0].key) + "/rank_0.out").value_or("");
  };
  for (const char* name : {"leaves", "waits", "deaf"}) until([&] { return said(name) == "ready\n"; }, "the traps to be set");
  const auto ask = [&](std::size_t number, Duration grace) { stop(launches[number], grace, SIGUSR2); };
  ask(0, seconds(60)), ask(1, seconds(60)), ask(2, seconds(2));
  for (std::size_t number : {0, 2}) wait_finished(launches[number]);
  EXPECT_EQ(said("leaves"), "ready\nsaved\n");
  EXPECT_EQ(said("deaf"), "ready\nterm\n") << "SIGTERM at half of the grace";
  until([&] { return said("waits") == "ready\nsaved\n"; }, "the checkpoint");
  EXPECT_EQ(nodes.at("waits").last().phase, GangPhase::stopping);
  ask(1, seconds(60));  // the same word again, as after a reconnect
  stop(launches[1], seconds(60));
  wait_finished(launches[1]);
  EXPECT_EQ(said("waits"), "ready\nsaved\nterm\n");
  for (const char* name : {"leaves", "waits", "deaf"}) {
    EXPECT_EQ(nodes.at(name).last().outcome, Outcome::cancelled);
    EXPECT_EQ(nodes.at(name).last().ranks.at(0).exit_code, 85);
  }
}

TEST_F(Shims, WhatRanksLeaveRunningEndsWithThem) {
  const auto launch = launch_of({test_rank, "daemon", path("daemon")}, {"a"}, 1);
  auto quick = launch;
  quick.spec.stop_grace_ms = milliseconds(50);
  run(quick);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::succeeded);
  std::int64_t daemon = 0;
  ASSERT_TRUE(std::ifstream(path("daemon")) >> daemon);
  EXPECT_FALSE(runs(daemon));
}

/// The grace of the job is for stops that nobody ordered.
TEST_F(Shims, ALongerGraceOfAStopIsKept) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  auto launch = shell("trap 'echo > asked; read word < fifo; exit 85' TERM; echo > up; while :; do sleep 1000 & wait; done", {"a"}, 1);
  launch.spec.stop_grace_ms = milliseconds(1);
  prepare(launch);
  start(launch);
  until([&] { return fs::exists(path("up")); }, "the program runs");
  until_phase("a", GangPhase::running);
  EXPECT_EQ(from_text<ShimPid>(read_whole(nodes.at("a").launcher->folder(key) + "/shim.pid").value()).stop_grace_ms, milliseconds(1)) << "for a later agent";
  stop(launch, seconds(200));
  until([&] { return fs::exists(path("asked")); }, "the program is asked");
  loop.run_for(std::chrono::milliseconds(1500));  // the job's own grace and the agent's patience are over
  ASSERT_NE(nodes.at("a").last().phase, GangPhase::finished);
  write_fifo(path("fifo"), "now");
  wait_finished(launch);
  EXPECT_EQ(nodes.at("a").last().ranks.at(0).exit_code, 85);
}

TEST_F(Shims, OneThatIsStoppedItselfHoldsUpNoStop) {
  stuck_after = std::chrono::milliseconds(300);
  const auto launch = shell("trap '' TERM; sleep 1000", {"a"}, 2);
  prepare(launch);
  start(launch);
  until_phase("a", GangPhase::running);
  const auto pids = nodes.at("a").last().pids;
  ::kill(static_cast<pid_t>(shim_pid("a")), SIGSTOP);
  stop(launch, milliseconds(10));
  wait_finished(launch);
  for (const std::int64_t pid : pids) EXPECT_FALSE(runs(pid));
  EXPECT_TRUE(troubles.empty()) << troubles.at(0).reason;
}

TEST_F(Shims, TellWhetherTheNodeOrTheJobIsToBlame) {
  auto launch = shell("true", {"a"}, 1);
  make_private_folder(path("a/jobs/") + text_of(key) + "/rank_0.out");  // our own file can't be written
  prepare(launch);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::start_failed);
  EXPECT_TRUE(nodes.at("a").last().failure.value().node_at_fault) << nodes.at("a").last().failure->detail;

  nodes.at("a").reports.clear();
  launch.key.attempt += 1;
  launch.spec.output = "/proc/no/such/place";
  prepare(launch);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::start_failed);
  EXPECT_FALSE(nodes.at("a").last().failure.value().node_at_fault) << nodes.at("a").last().failure->detail;
}

TEST_F(Shims, CanBeStoppedBeforeTheStart) {
  const auto launch = shell("true", {"a", "b"}, 1);
  prepare(launch);
  stop(launch, seconds(1));
  wait_finished(launch);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::cancelled);
  EXPECT_TRUE(nodes.at("a").last().ranks.empty());
}

TEST_F(Shims, ObeyRepeatedCommandsOnce) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  const auto launch = shell("echo $$ >> started; " + test_rank + " wait fifo", {"a"}, 1);
  prepare(launch);
  prepare(launch);
  const std::size_t before = nodes.at("a").reports.size();
  auto again = launch;
  again.node = "a";
  nodes.at("a").launcher->prepare(again);
  until([&] { return nodes.at("a").reports.size() > before; }, "the report again");
  start(launch);
  start(launch);
  until_phase("a", GangPhase::running);
  start(launch);
  write_fifo(path("fifo"), "0");
  wait_finished(launch);
  const std::string started = read_whole(path("started")).value();
  EXPECT_EQ(std::count(started.begin(), started.end(), '\n'), 1);
  const std::size_t reports = nodes.at("a").reports.size();
  stop(launch, seconds(1));
  until([&] { return nodes.at("a").reports.size() > reports; }, "the end said again");
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::succeeded);
}

TEST_F(Shims, AnswerForGangsThatNobodyKnows) {
  start_agent("a");
  nodes.at("a").launcher->send(key, protocol::Stop{.key = key});
  until_phase("a", GangPhase::finished);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::cancelled);
}

TEST_F(Shims, MeasureProcessorTimeAsUtilizationOfAVirtualDevice) {
  const auto launch = shell("if [ $RANK = 0 ]; then sleep 0.5; else i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; fi", {"a"}, 2);
  run(launch);
  const auto ranks = nodes.at("a").last().ranks;
  EXPECT_LT(ranks.at(0).device_utilization_permille, 300);
  EXPECT_GT(ranks.at(1).cpu_time_ms.ms, 50);
  EXPECT_GT(ranks.at(1).device_utilization_permille, ranks.at(0).device_utilization_permille);
  EXPECT_LE(ranks.at(1).device_utilization_permille, 1000);
}

TEST_F(Shims, WorkInFoldersDeeperThanASocketAddress) {
  jobs_below = "/" + std::string(90, 'x') + "/" + std::string(90, 'y');
  const auto launch = shell("readlink $ULTRA_SOCKET; echo ${#ULTRA_SOCKET}; " + test_rank + " checkpoint 1", {"a"}, 1);
  prepare(launch);
  start(launch);
  until([&] { return !nodes.at("a").checkpoints.empty(); }, "the checkpoint");
  std::istringstream said(output("a", 0));
  std::string socket;
  std::size_t length = 0;
  ASSERT_TRUE(said >> socket >> length);
  EXPECT_EQ(socket, path("a") + jobs_below + "/api.sock");
  EXPECT_LE(length, net::unix_path_max) << "the way to the API through a short link";
  nodes.at("a").launcher->send(key, protocol::CheckpointRecorded{.key = key, .step = 1});
  wait_finished(launch);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::succeeded);
}

/// Finding libraries would take longer than all that a small job needs.
TEST(ShimProgram, LoadsNoLibraryThatOnlySomeGangsNeed) {
  const auto libraries_of = [](const std::string& program) {
    std::string text;
    std::array<char, 4096> buffer;
    FILE* const pipe = ::popen(("ldd " ULTRAMARINE_BINARY_DIR "/bin/" + program).c_str(), "r");
    for (std::size_t got = 0; (got = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) text.append(buffer.data(), got);
    EXPECT_EQ(::pclose(pipe), 0) << program;
    return text;
  };
  EXPECT_THAT(libraries_of("ultra-shim-full"), testing::AllOf(HasSubstr("libpmix"), HasSubstr("libcrypto"), HasSubstr("libhwloc")));
  EXPECT_THAT(libraries_of("ultra-shim"), testing::AnyOf(HasSubstr("statically linked"), testing::AllOf(HasSubstr("libc.so"), Not(HasSubstr("libpmix")), Not(HasSubstr("libcrypto")), Not(HasSubstr("libhwloc")), Not(HasSubstr("libspdlog")))));
}

}  // namespace
}  // namespace ultramarine::launcher
