// Containment: which kind a machine allows, what is written into a recorded tree of version 2 (whose controllers few machines give to both
// versions at once), and the real kernel where this process may make groups.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "worker/launcher/containment/containment.h"
#include "worker/launcher/containment/group_files.h"
#include "worker/launcher/job_folder.h"
#include "worker/launcher/process_start.h"

namespace ultramarine::launcher {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
namespace fs = std::filesystem;

const GangKey key{JobId{7}, 2, 3};

class TreeFolder {
 public:
  TreeFolder() {
    std::string name = "/tmp/containment-test-XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  TreeFolder(const TreeFolder&) = delete;
  TreeFolder& operator=(const TreeFolder&) = delete;
  ~TreeFolder() { fs::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string text_in(const std::string& path) { return read_whole(path).value_or("(no file)"); }

void until(const std::function<bool()>& condition) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > limit) FAIL() << "waited in vain";
    ::sched_yield();
  }
}

// ---- what the machine has --------------------------------------------------------------------------------------------

TEST(OwnGroups, AreReadFromAMachineWithVersionTwoAlone) {
  const OwnGroups own = own_groups("30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n25 1 8:1 / / rw - ext4 /dev/sda1 rw\n",
                                   "0::/system.slice/ultra-agent.service\n");
  EXPECT_EQ(own.unified, "/sys/fs/cgroup/system.slice/ultra-agent.service");
  EXPECT_FALSE(own.unified_is_root);
  EXPECT_EQ(own.freezer, "");
}

TEST(OwnGroups, AreReadFromAMachineWithVersionOne) {
  const OwnGroups own = own_groups(
      "40 30 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n41 30 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
      "42 30 0:32 / /sys/fs/cgroup/my\\040freezer rw - cgroup cgroup rw,freezer\n43 30 0:33 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n",
      "5:freezer:/\n4:memory:/user.slice/session-1\n3:cpu,cpuacct:/user.slice\n2:pids:/\n1:name=systemd:/\n");
  EXPECT_EQ(own.cpu, "/sys/fs/cgroup/cpu,cpuacct/user.slice");
  EXPECT_EQ(own.memory, "/sys/fs/cgroup/memory/user.slice/session-1");
  EXPECT_EQ(own.freezer, "/sys/fs/cgroup/my freezer");
  EXPECT_EQ(own.devices, "");
  EXPECT_EQ(own.unified, "");
}

TEST(OwnGroups, AreFoundBelowThePartOfTheTreeThatAContainerIsShown) {
  const OwnGroups own = own_groups("41 30 0:31 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", "4:memory:/docker/abc/inner\n");
  EXPECT_EQ(own.memory, "/sys/fs/cgroup/memory/inner");
}

TEST(Containment, FallsBackToProcessGroupsWhereNothingIsMounted) {
  const auto containment = choose_containment("auto", "node01", OwnGroups{});
  EXPECT_EQ(containment->kind(), "process_groups");
  EXPECT_THAT(containment->limits(), IsEmpty());
  EXPECT_EQ(containment->make(key, {}), nullptr);
  EXPECT_THROW(choose_containment("cgroup_v2", "node01", OwnGroups{}), FolderError);
  EXPECT_THROW(choose_containment("cgroup_v1", "node01", OwnGroups{}), FolderError);
}

// ---- version 2: a recorded tree --------------------------------------------------------------------------------------

TEST(CgroupV2, WritesLimitsOfTheAttemptAboveTheGroupOfTheGang) {
  const TreeFolder tree;
  ::mkdir((tree / "own").c_str(), 0755);
  write_group_file(tree / "own/cgroup.controllers", "cpuset cpu io memory hugetlb pids\n");
  // A FIFO keeps every write, where a plain file has the last one only.
  ASSERT_EQ(::mkfifo((tree / "own/cgroup.subtree_control").c_str(), 0600), 0);
  const int written = ::open((tree / "own/cgroup.subtree_control").c_str(), O_RDWR | O_NONBLOCK);
  const auto containment = make_cgroup_v2({.unified = tree / "own", .unified_is_root = true}, "node01");
  char handed_down[64] = "";
  EXPECT_GT(::read(written, handed_down, sizeof handed_down - 1), 0);
  ::close(written);
  EXPECT_STREQ(handed_down, "+memory+pids+cpu");
  EXPECT_EQ(text_in(tree / "own/ultramarine/node01/cgroup.subtree_control"), "+cpu") << "the last of the three";
  // What a kernel would answer.
  fs::remove(tree / "own/cgroup.subtree_control");
  for (const char* folder : {"own", "own/ultramarine", "own/ultramarine/node01"}) write_group_file(tree / folder + "/cgroup.subtree_control", "cpu memory pids\n");
  const auto agent = reopen_containment("cgroup_v2", {tree / "own/ultramarine/node01"});
  EXPECT_EQ(agent, nullptr) << "no gang of an earlier agent is there";
  ::mkdir((tree / "own/ultramarine/node01/1.1").c_str(), 0755);
  const auto again = reopen_containment("cgroup_v2", {tree / "own/ultramarine/node01"});
  ASSERT_NE(again, nullptr);
  EXPECT_THAT(again->limits(), testing::IsSupersetOf({"memory", "pids", "cpu"}));

  const std::string attempt = tree / "own/ultramarine/node01/7.2";
  fs::create_directories(attempt);
  write_group_file(attempt + "/memory.swap.max", "max");  // of kernels that account for swap
  const auto group = again->make(key, {.memory_bytes = std::int64_t{64} << 30, .processes = 500, .cpus = 12});
  EXPECT_EQ(text_in(attempt + "/memory.max"), "68719476736");
  EXPECT_EQ(text_in(attempt + "/memory.swap.max"), "0");
  EXPECT_EQ(text_in(attempt + "/pids.max"), "500");
  EXPECT_EQ(text_in(attempt + "/cpu.max"), "1200000 100000");
  EXPECT_THAT(group->entrances(), ElementsAre(attempt + "/3/cgroup.procs"));
  EXPECT_NE(again->find(key), nullptr);
  EXPECT_EQ(again->find({JobId{7}, 2, 4}), nullptr);

  group->kill_all_but(0);
  EXPECT_EQ(text_in(attempt + "/3/cgroup.kill"), "1");
  group->kill_all_but(1);  // spares somebody, so it can't be that file: stopped, killed one by one, let go
  EXPECT_EQ(text_in(attempt + "/3/cgroup.freeze"), "0");
}

TEST(CgroupV2, WhatTheFirstGangDidNotGetToIsSetForTheSecond) {
  const TreeFolder tree;
  const std::string base = tree / "own/ultramarine/node01", attempt = base + "/7.2";
  for (const std::string& folder : {tree / "own", tree / "own/ultramarine", base, attempt, attempt + "/pids.max"})
    ::mkdir(folder.c_str(), 0755);
  write_group_file(base + "/cgroup.subtree_control", "cpu memory pids\n");
  const auto containment = reopen_containment("cgroup_v2", {base});
  ASSERT_NE(containment, nullptr);
  const AttemptLimits limits{.memory_bytes = 1000, .processes = 500, .cpus = 2};
  EXPECT_THROW(containment->make({JobId{7}, 2, 1}, limits), FolderError) << "a folder is where pids.max should be";
  fs::remove(attempt + "/pids.max");
  containment->make({JobId{7}, 2, 2}, limits);
  EXPECT_EQ(text_in(attempt + "/pids.max"), "500");
  EXPECT_EQ(text_in(attempt + "/cpu.max"), "200000 100000");
}

TEST(CgroupV2, CountsProcessesOfGroupsBelow) {
  const TreeFolder tree;
  ::mkdir((tree / "own").c_str(), 0755);
  const auto containment = make_cgroup_v2({.unified = tree / "own", .unified_is_root = true}, "node01");
  const auto group = containment->make(key, {});
  const std::string gang = tree / "own/ultramarine/node01/7.2/3";
  EXPECT_THAT(group->processes(), IsEmpty());
  write_group_file(gang + "/cgroup.procs", "100\n101\n");
  ::mkdir((gang + "/inner").c_str(), 0755);
  write_group_file(gang + "/inner/cgroup.procs", "102\n");
  EXPECT_THAT(group->processes(), testing::UnorderedElementsAre(100, 101, 102));
}

TEST(CgroupV2, StepsAsideWhereItIsNotTheRoot) {
  const TreeFolder tree;
  ::mkdir((tree / "service").c_str(), 0755);
  const auto containment = make_cgroup_v2({.unified = tree / "service"}, "node01");
  EXPECT_EQ(text_in(tree / "service/ultramarine-agent/cgroup.procs"), "0");
}

TEST(CgroupV2, SaysWhatItLacks) {
  EXPECT_THROW(make_cgroup_v2({}, "node01"), FolderError);
  EXPECT_THROW(make_cgroup_v2({.unified = "/proc/self"}, "node01"), FolderError);
}

// ---- the kernel ------------------------------------------------------------------------------------------------------

/// A group of this kind for the test's own processes, removed at the end.
class RealGroups : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string name = "test-" + std::to_string(::getpid());
    try {
      containment = choose_containment(GetParam(), name);
    } catch (const FolderError& error) {
      GTEST_SKIP() << error.what() << ": control groups need root or a delegated group";
    }
  }
  /// Starts a shell in the group, a child of nobody, and waits until it has written `file`.
  void start(GangGroup& group, const std::string& script, const std::string& file) {
    const StartResult result = start_detached("/bin/sh", {"-c", script}, folder / "log", group.entrances());
    ASSERT_EQ(result.step, StartStep::none) << std::strerror(result.error_number);
    until([&] { return fs::exists(file); });
  }
  TreeFolder folder;
  std::unique_ptr<Containment> containment;
};

TEST_P(RealGroups, KillWhatHasLeftItsSessionAndItsParent) {
  const auto group = containment->make(key, {});
  // Two daemons: setsid, parent gone, environment empty; and one that ignores all that can be ignored.
  start(*group, "setsid env -i sh -c 'sleep 1000 & sleep 1000' & (trap '' TERM HUP INT; setsid sh -c 'exec sleep 1000' &) ; echo > " + folder / "up" + "; exit 0",
        folder / "up");
  until([&] { return group->processes().size() == 4; });
  EXPECT_FALSE(group->remove()) << "somebody is in it";
  const auto before = group->processes();
  group->kill_all_but(0);
  until([&] { return group->processes().empty(); });
  for (const std::int64_t pid : before) until([&] { return !identify(pid) || !is_running(*identify(pid)); });
  until([&] { return group->remove(); });
  EXPECT_EQ(containment->find(key), nullptr);
}

TEST_P(RealGroups, SpareOneProcess) {
  const auto group = containment->make(key, {});
  start(*group, "echo $$ > " + folder / "pid.new" + "; mv " + folder / "pid.new " + folder / "pid" + "; sleep 1000 & sleep 1000 & wait; sleep 1000", folder / "pid");
  const std::int64_t spared = std::stoll(text_in(folder / "pid"));
  until([&] { return group->processes().size() == 3; });
  group->kill_all_but(spared);
  // It goes on: its two children are gone and it has started the third sleep.
  until([&] { return group->processes().size() == 2; });
  EXPECT_THAT(group->processes(), Contains(spared));
  group->kill_all_but(0);
  until([&] { return group->remove(); });
}

TEST_P(RealGroups, StopAForkBombAtItsLimit) {
  const auto limits = containment->limits();
  if (std::find(limits.begin(), limits.end(), "pids") == limits.end()) GTEST_SKIP() << "this kind may not count processes here";
  const auto group = containment->make(key, {.processes = 40});
  start(*group, "echo > " + folder / "up" + "; while :; do (while :; do (sleep 1000 &) ; done &) ; done 2>/dev/null", folder / "up");
  until([&] { return group->processes().size() >= 35; });
  EXPECT_LE(group->processes().size(), 40u);
  until([&] {
    group->kill_all_but(0);
    return group->processes().empty();
  });
  until([&] { return group->remove(); });
}

TEST_P(RealGroups, LimitTheAttemptsCpus) {
  if (containment->kind() != "cgroup_v1" || !testing::Value(containment->limits(), Contains("cpu"))) GTEST_SKIP() << "this kind may not limit CPUs here";
  const auto group = containment->make(key, {.cpus = 3});
  std::string quota;
  for (const std::string& entrance : group->entrances()) {
    const fs::path attempt = fs::path(entrance).parent_path();
    if (fs::exists(attempt / "cpu.cfs_quota_us")) quota = text_in((attempt / "cpu.cfs_quota_us").string()) + " of " + text_in((attempt / "cpu.cfs_period_us").string());
  }
  EXPECT_EQ(quota, "300000\n of 100000\n");
  until([&] { return group->remove(); });
}

TEST_P(RealGroups, RefuseDevicesThatAreNotTheAttempts) {
  const auto limits = containment->limits();
  if (::geteuid() != 0 || std::find(limits.begin(), limits.end(), "devices") == limits.end()) GTEST_SKIP() << "refusing devices needs root";
  // Two "GPUs": nodes of the null and the zero device.
  ASSERT_EQ(::mknod((folder / "nvidia0").c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
  ASSERT_EQ(::mknod((folder / "nvidia1").c_str(), S_IFCHR | 0666, makedev(1, 5)), 0);
  std::ofstream(folder / "nvidiactl") << "";
  const auto others = other_gpus(folder.path(), {0});
  EXPECT_THAT(others, ElementsAre(DeviceNumber{1, 5}));
  // Somebody who made the attempt's group and didn't come to its devices; and a gang before this one.
  for (const std::string& base : containment->folders())
    make_group(base + "/" + std::to_string(key.job.value) + "." + std::to_string(key.attempt));
  GangKey other = key;
  ++other.gang;
  const auto before = containment->make(other, {.denied_devices = others});
  const auto group = containment->make(key, {.denied_devices = others});
  start(*group,
        "cat " + folder / "nvidia0" + " && echo first is open; head -c 1 " + folder / "nvidia1" + " && echo second is open; echo > " + folder / "done", folder / "done");
  EXPECT_THAT(text_in(folder / "log"), testing::HasSubstr("first is open"));
  EXPECT_THAT(text_in(folder / "log"), Not(testing::HasSubstr("second is open")));
  EXPECT_THAT(text_in(folder / "log"), testing::HasSubstr("Operation not permitted"));
  for (int gang = 0; gang < 70; ++gang)
    EXPECT_NO_THROW(containment->make(other, {.denied_devices = others})) << "a group takes 64 programs";
  until([&] { return before->remove(); });
  until([&] { return group->remove(); });
}

INSTANTIATE_TEST_SUITE_P(Kinds, RealGroups, testing::Values("cgroup_v1", "cgroup_v2"), [](const auto& kind) { return std::string(kind.param); });

TEST(OwnMemory, IsReadWhereTheLimitBinds) {
  const TreeFolder tree;
  fs::create_directories(tree / "job/gang");
  for (const char* folder : {"", "job/", "job/gang/"}) {
    write_group_file(tree / folder + "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
    write_group_file(tree / folder + "memory.limit_in_bytes", "9223372036854771712\n");
    write_group_file(tree / folder + "memory.max_usage_in_bytes", "5000\n");
  }
  write_group_file(tree / "job/memory.limit_in_bytes", "1073741824\n");
  write_group_file(tree / "job/memory.max_usage_in_bytes", "1073000000\n");
  write_group_file(tree / "job/gang/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n");
  const auto use = own_memory({.memory = tree / "job/gang"});
  ASSERT_TRUE(use);
  EXPECT_EQ(use->limit_bytes, 1073741824);
  EXPECT_EQ(use->peak_bytes, 1073000000);
  EXPECT_EQ(use->kills, 4);
  EXPECT_FALSE(own_memory({}));
}

TEST(OwnMemory, IsReadFromTheFirstGroupAboveThatCounts) {
  const TreeFolder tree;  // version 2 hands the controller down to the attempt, not to its gangs
  fs::create_directories(tree / "job/gang");
  write_group_file(tree / "job/memory.events", "low 0\nhigh 0\nmax 12\noom 1\noom_kill 2\n");
  write_group_file(tree / "job/memory.max", "1073741824\n");
  write_group_file(tree / "job/memory.peak", "1073741824\n");
  const auto use = own_memory({.unified = tree / "job/gang"});
  ASSERT_TRUE(use);
  EXPECT_EQ(use->limit_bytes, 1073741824);
  EXPECT_EQ(use->kills, 2);
}

TEST(MemoryKills, CountAsAReasonForAShortTime) {
  using std::chrono::seconds;
  MemoryKills kills;
  const MemoryKills::Clock::time_point start{};
  EXPECT_FALSE(kills.are_recent(3, start)) << "nobody looked before";
  kills.look(3, start);
  EXPECT_FALSE(kills.are_recent(3, start + seconds(1))) << "of the attempt's earlier gangs";
  EXPECT_TRUE(kills.are_recent(4, start + seconds(1)));
  kills.look(4, start + seconds(5));
  EXPECT_TRUE(kills.are_recent(4, start + seconds(6))) << "the rank fails for it a moment later";
  kills.look(4, start + seconds(10));
  EXPECT_TRUE(kills.are_recent(4, start + seconds(14)));
  EXPECT_FALSE(kills.are_recent(4, start + seconds(15))) << "the job went on without";
  EXPECT_TRUE(kills.are_recent(5, start + seconds(15)));
}

}  // namespace
}  // namespace ultramarine::launcher
