// Gangs inside control groups, with the real supervisor and the real kernel: nothing of a gang outlives it, limits hold and are named, and what
// can't be killed keeps its devices and is reported.
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/integration/launcher/node_fixture.h"
#include "tests/support/ice.h"
#include "worker/launcher/containment/containment.h"
#include "worker/launcher/containment/group_files.h"

namespace ultramarine::launcher {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

class Contained : public VirtualNodes {
 protected:
  void SetUp() override {
    containment = choose_containment("auto", "test-" + std::to_string(::getpid()));
    if (containment->kind() == "process_groups") GTEST_SKIP() << "no control group can be made here: that needs root or a delegated group";
  }
  bool limits(const char* what) const {
    const auto known = containment->limits();
    return std::find(known.begin(), known.end(), what) != known.end();
  }
  void expect_no_group() {
    until([&] { return containment->find(key) == nullptr; }, "the group is removed");
  }
  std::int64_t milliseconds_since(Clock::time_point from) const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - from).count();
  }
  /// Two daemons that nothing but their group ties to the job: own session, no parent, no environment. They tell when they run.
  std::string daemons() const {
    return "(setsid env -i /bin/sh -c 'trap \"\" TERM; sleep 1000 & echo > " + path("up") + "; exec sleep 1000' &) ; while ! test -e " + path("up") +
           "; do sleep 0.01; done; ";
  }
};

TEST_F(Contained, DaemonsDieWithTheGang) {
  auto launch = shell(daemons() + "exit 0", {"a"}, 1);
  launch.spec.stop_grace_ms = milliseconds(200);
  run(launch);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::succeeded);
  expect_no_group();
}

TEST_F(Contained, EverythingDiesWithTheShim) {
  const auto launch = shell(daemons() + "sleep 1000", {"a"}, 2);
  prepare(launch);
  start(launch);
  until([&] { return fs::exists(path("up")); }, "the daemons run");
  until_phase("a", GangPhase::running);
  const auto group = containment->find(key);
  ASSERT_NE(group, nullptr);
  until([&] { return group->processes().size() >= 6; }, "shim, two ranks, two daemons, and what they wait with");
  until_phase("a", GangPhase::running);
  const auto killed_at = Clock::now();
  ::kill(static_cast<pid_t>(shim_pid("a")), SIGKILL);
  wait_finished(launch);
  std::printf("shim killed -> nothing left: %lld ms\n", static_cast<long long>(milliseconds_since(killed_at)));
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::supervisor_lost);
  expect_no_group();
}

TEST_F(Contained, TheNextAgentFindsTheGroupAgain) {
  const auto launch = shell(daemons() + "sleep 1000", {"a"}, 1);
  prepare(launch);
  start(launch);
  until([&] { return fs::exists(path("up")); }, "the daemons run");
  until_phase("a", GangPhase::running);
  stop_agent("a");
  ::kill(static_cast<pid_t>(shim_pid("a")), SIGKILL);
  containment = reopen_containment(containment->kind(), containment->folders());
  ASSERT_NE(containment, nullptr);
  start_agent("a");
  nodes.at("a").launcher->adopt();
  wait_finished(launch);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::supervisor_lost);
  expect_no_group();
}

TEST_F(Contained, LackOfMemoryIsNamedWithLimitAndPeak) {
  if (!limits("memory")) GTEST_SKIP() << "memory can't be limited here";
  auto launch = shell("if test $RANK = 1; then exec tail /dev/zero; fi; sleep 1000", {"a"}, 2);
  launch.spec.memory_per_gpu_bytes = 64 << 20;
  run(launch);
  GangReport report = nodes.at("a").last();
  EXPECT_EQ(report.outcome, Outcome::out_of_memory);
  EXPECT_EQ(report.failure.value().rank, 1);
  EXPECT_EQ(report.failure.value().signal, SIGKILL);
  EXPECT_EQ(report.failure.value().detail,
            "rank 1 on a was killed for lack of memory: the job may use 128 MiB there and its peak was 128 MiB; ask for more with --mem-per-gpu");
  nodes.clear();

  key.gang = 2;  // the kernel's victim is not the rank but what it waits for
  launch = shell("head -c 900000000 /dev/zero | tail; exit 3", {"a"}, 1);
  launch.spec.memory_per_gpu_bytes = 96 << 20;
  run(launch);
  report = nodes.at("a").last();
  EXPECT_EQ(report.outcome, Outcome::out_of_memory);
  EXPECT_THAT(report.failure.value().detail, HasSubstr("failed after the kernel had killed a process for lack of memory: the job may use 96 MiB there"));
  expect_no_group();
}

TEST_F(Contained, AForkBombIsHeldAndEnds) {
  if (!limits("pids")) GTEST_SKIP() << "processes can't be limited here";
  processes_max = 120;
  // A shell that can't fork gives up: the rank itself isn't one of those.
  auto launch = shell("(while :; do (while :; do (sleep 1000 &) ; done &) ; done) 2>/dev/null & exec sleep 1000", {"a"}, 1);
  prepare(launch);
  start(launch);
  until([&] { return containment->find(key)->processes().size() >= 100; }, "the bomb is at its limit");
  EXPECT_LE(containment->find(key)->processes().size(), 120u);
  const auto stopped_at = Clock::now();
  stop(launch, milliseconds(100));
  wait_finished(launch);
  std::printf("fork bomb stopped -> nothing left: %lld ms\n", static_cast<long long>(milliseconds_since(stopped_at)));
  expect_no_group();
}

TEST_F(Contained, WhatCannotBeKilledKeepsTheGangOpenAndIsReported) {
  Ice ice;
  if (!ice || containment->kind() != "cgroup_v1")
    GTEST_SKIP() << "only the freezer of version 1 makes a process that SIGKILL doesn't end";
  stuck_after = std::chrono::milliseconds(300);
  const auto launch = shell("sleep 1000", {"a"}, 1);
  prepare(launch);
  start(launch);
  until_phase("a", GangPhase::running);
  const std::int64_t rank = nodes.at("a").last().pids.at(0);
  ASSERT_TRUE(ice.freeze(rank));
  stop(launch, milliseconds(50));
  until([&] { return !troubles.empty(); }, "the trouble is told");
  EXPECT_THAT(troubles.at(0).reason, HasSubstr("GPUs of job " + std::to_string(key.job.value) + " are quarantined: process " + std::to_string(rank)));
  EXPECT_THAT(troubles.at(0).reason, HasSubstr("can't be killed"));
  EXPECT_EQ(nodes.at("a").last().phase, GangPhase::stopping) << "its devices are not free";
  loop.run_for(std::chrono::milliseconds(500));
  EXPECT_EQ(nodes.at("a").last().phase, GangPhase::stopping);
  EXPECT_EQ(troubles.size(), 1u) << "told once";
  ice.thaw();
  wait_finished(launch);
  expect_no_group();
}

/// Also where a gang is known by its processes alone, and its supervisor is gone.
TEST_F(Contained, WhatCannotBeKilledIsReportedWithoutGroupsToo) {
  Ice ice;
  if (!ice || containment->kind() != "cgroup_v1") GTEST_SKIP() << "only the freezer of version 1 makes a process that SIGKILL doesn't end";
  containment = nullptr;
  stuck_after = std::chrono::milliseconds(300);
  const auto launch = shell("sleep 1000", {"a"}, 1);
  prepare(launch);
  start(launch);
  until_phase("a", GangPhase::running);
  const std::int64_t rank = nodes.at("a").last().pids.at(0);
  ASSERT_TRUE(ice.freeze(rank));
  ::kill(static_cast<pid_t>(shim_pid("a")), SIGKILL);
  until([&] { return !troubles.empty(); }, "the trouble is told");
  EXPECT_THAT(troubles.at(0).reason, HasSubstr("process " + std::to_string(rank)));
  EXPECT_NE(nodes.at("a").last().phase, GangPhase::finished) << "its devices are not free";
  ice.thaw();
  wait_finished(launch);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::supervisor_lost);
}

TEST_F(Contained, GangsBesideTheFirstAreHeldByTheLimitsOfTheAttempt) {
  if (!limits("pids")) GTEST_SKIP() << "processes can't be limited here";
  processes_max = 60;
  const auto first = shell("sleep 1000", {"a"}, 1);
  prepare(first);
  start(first);
  until_phase("a", GangPhase::running);
  const auto has_first = containment->find(key)->processes().size();
  // As `ultra exec` or `ultra run` would: a gang of its own, with no processes of its own to spare.
  // A shell that can't fork gives up.
  auto second = shell("(for one in $(seq 100); do sleep 1000 & done; : > " + path("all") + "); : > " + path("over") + "; exec sleep 1000", {"a"}, 1);
  second.key.gang = 2;
  second.node = "a";
  nodes.at("a").launcher->prepare(second);
  const auto reached = [&](GangPhase phase) { return nodes.at("a").last().key == second.key && nodes.at("a").last().phase >= phase; };
  until([&] { return reached(GangPhase::prepared); }, "the second gang is prepared");
  start(second);
  until([&] { return fs::exists(path("over")); }, "it has as many as it may");
  EXPECT_FALSE(fs::exists(path("all")));
  EXPECT_LE(containment->find(second.key)->processes().size() + has_first, 60U) << "both together";
  stop(second, milliseconds(0));
  until([&] { return reached(GangPhase::finished); }, "the second gang has finished");
  stop(first, milliseconds(0));
  until([&] { return nodes.at("a").last().key == key && nodes.at("a").last().phase == GangPhase::finished; }, "the first gang has finished");
  expect_no_group();
}

TEST_F(Contained, GangsOfAnAttemptEndAlone) {
  const auto first = shell("sleep 1000", {"a"}, 1);
  prepare(first);
  start(first);
  until_phase("a", GangPhase::running);
  auto second = shell("exit 0", {"a"}, 1);
  second.key.gang = 2;
  nodes.at("a").launcher->prepare([&] {
    auto copy = second;
    copy.node = "a";
    return copy;
  }());
  until([&] { return nodes.at("a").last().key.gang == 2 && nodes.at("a").last().phase == GangPhase::prepared; }, "the second gang is prepared");
  start(second);
  until([&] { return nodes.at("a").last().key.gang == 2 && nodes.at("a").last().phase == GangPhase::finished; }, "the second gang has finished");
  until([&] { return containment->find(second.key) == nullptr; }, "its group is removed");
  EXPECT_NE(containment->find(key), nullptr);
  stop(first, milliseconds(0));
  until([&] { return nodes.at("a").last().key.gang == 1 && nodes.at("a").last().phase == GangPhase::finished; }, "the first gang has finished");
  expect_no_group();
}

}  // namespace
}  // namespace ultramarine::launcher
