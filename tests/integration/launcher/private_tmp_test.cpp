// Jobs with a /tmp and a /dev/shm of their own: the gangs of an attempt share them on a node, nobody else sees them, and nothing is left of them,
// however the attempt ends. As root, since mounting is root's; the ranks are the users nobody and daemon, and once root.
#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/integration/launcher/node_fixture.h"

namespace ultramarine::launcher {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class PrivateTmp : public VirtualNodes {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can mount";
    if (::getpwuid(nobody) == nullptr || ::getpwuid(daemon_user) == nullptr) GTEST_SKIP() << "this machine has no users 65534 and 1";
    // What the jobs need can't lie below what is hidden from them.
    std::string name = "/var/tmp/private-tmp-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    fs::remove_all(folder);
    folder = name;
    minimum_uid = 1;
    private_tmp = true;
    containment = choose_containment("auto", "test-" + std::to_string(::getpid()));
    ::chmod(folder.c_str(), 0711);
    for (const char* node : {"a", "b"}) {
      make_private_folder(path(node) + jobs_below);
      for (const std::string& one : {path(node), path(node) + jobs_below}) ::chmod(one.c_str(), 0711);
    }
    make_private_folder(path("work"));
    ::chmod(path("work").c_str(), 01777);
  }
  protocol::LaunchSpec of(std::int64_t uid, const std::string& script, const std::vector<std::string>& names = {"a"}, int ranks = 1) {
    auto launch = shell(script, names, ranks);
    launch.owner = {uid, "who", "test"};
    launch.spec.working_directory = path("work");
    launch.spec.stop_grace_ms = seconds(2);
    return launch;
  }
  std::string output_of(const std::string& node, const protocol::LaunchSpec& launch, const char* stream = "out") {
    return read_whole(nodes.at(node).launcher->folder(launch.key) + "/rank_0." + stream).value_or("no such file");
  }
  /// What the node keeps of private folders, on disk and in memory.
  std::vector<std::string> kept() const {
    std::vector<std::string> found;
    for (const char* node : {"a", "b"})
      if (fs::exists(path(node) + "/scratch"))
        for (const auto& entry : fs::directory_iterator(path(node) + "/scratch")) found.push_back(entry.path().string());
    const std::string mark = "ultramarine-" + std::to_string(key.job.value) + ".";
    for (const auto& entry : fs::directory_iterator("/dev/shm"))
      if (entry.path().filename().string().starts_with(mark)) found.push_back(entry.path().string());
    return found;
  }
};

TEST_F(PrivateTmp, GangsOfAnAttemptShareItAndNobodyElseSeesIt) {
  const std::string file = "private-" + std::to_string(::getpid());
  // Two ranks tell each other something in either place.
  auto first = of(nobody,
                  "echo from $RANK > /tmp/" + file + ".$RANK; echo from $RANK > /dev/shm/" + file + ".$RANK\n"
                  "until test -s /tmp/" + file + ".$((1 - RANK)) && test -s /dev/shm/" + file + ".$((1 - RANK)); do sleep 0.01; done\n"
                  "cat /tmp/" + file + ".$((1 - RANK)) /dev/shm/" + file + ".$((1 - RANK)); stat -c '%a' /tmp /dev/shm; touch ready.$RANK; exec sleep 1000", {"a"}, 2);
  prepare(first);
  start(first);
  until([&] { return fs::exists(path("work/ready.0")) && fs::exists(path("work/ready.1")); }, "both ranks have seen each other");
  until_phase("a", GangPhase::running);
  EXPECT_EQ(output("a", 0), "from 1\nfrom 1\n1777\n1777\n");
  EXPECT_EQ(output("a", 1), "from 0\nfrom 0\n1777\n1777\n");
  EXPECT_FALSE(fs::exists("/tmp/" + file + ".0"));
  EXPECT_FALSE(fs::exists("/dev/shm/" + file + ".0"));
  for (const std::string& one : kept()) {
    struct stat status {};
    ASSERT_EQ(::stat(one.c_str(), &status), 0) << one;
    if (!one.ends_with("/scratch/" + std::to_string(key.job.value) + ".1") && fs::is_directory(one)) {
      EXPECT_EQ(status.st_mode & 0777, 0700u) << one;
      EXPECT_EQ(status.st_uid, 0u) << one;
    }
  }
  const std::string rank = std::to_string(nodes.at("a").last().pids.at(0));

  // Another gang of it, as `ultra exec` and `ultra run` start them, also by a later agent: the same. Its user can't get out of it.
  stop_agent("a");
  start_agent("a");
  nodes.at("a").launcher->adopt();
  auto beside = of(nobody, "cat /tmp/" + file + ".0 /dev/shm/" + file + ".1; umount /tmp || echo stays; unshare -Urm umount /tmp || echo stays; "
                           "test $(readlink /proc/self/ns/mnt) = $(readlink /proc/1/ns/mnt) && echo shared\nexit 0");
  beside.key.gang = 2;
  beside.node = "a";
  nodes.at("a").launcher->prepare(beside);
  const auto report_of = [&](const protocol::LaunchSpec& launch) {
    const auto& reports = nodes.at("a").reports;
    const auto last = std::find_if(reports.rbegin(), reports.rend(), [&](const GangReport& report) { return report.key == launch.key; });
    return last == reports.rend() ? GangReport{} : *last;
  };
  until([&] { return report_of(beside).phase >= GangPhase::prepared; }, "the second gang is prepared");
  nodes.at("a").launcher->send(beside.key, protocol::Start{.key = beside.key, .peers = {report_of(beside).peer}});
  until([&] { return report_of(beside).phase == GangPhase::finished; }, "the second gang is finished");
  EXPECT_EQ(output_of("a", beside), "from 0\nfrom 1\nstays\nstays\n") << output_of("a", beside, "err");

  // Another user's job, and another job of the same user, have their own. (What is his he may look at through his own processes.)
  for (const std::int64_t uid : {daemon_user, nobody}) {
    const std::string elsewhere = uid == nobody ? "" : " " + path("a") + "/scratch /proc/" + rank + "/root/tmp";
    auto other = of(uid, "ls -A /tmp /dev/shm" + elsewhere + " 2>/dev/null | grep -e '" + file + "' -e private; id -u", {"b"});
    other.key.job.value += uid;
    nodes.erase("b");
    run(other);
    EXPECT_EQ(output_of("b", other), std::to_string(uid) + "\n");
    nodes.at("b").launcher->forget(other.key);
  }

  nodes.at("a").launcher->forget(beside.key);
  EXPECT_FALSE(kept().empty()) << "gang 1 is still there";
  stop(first, milliseconds(0));
  until([&] { return report_of(first).phase == GangPhase::finished; }, "the first gang is finished");
  nodes.at("a").launcher->forget(first.key);
  EXPECT_EQ(kept(), std::vector<std::string>());
}

TEST_F(PrivateTmp, NothingIsLeftOfAJobWhoseSupervisorWasKilled) {
  auto launch = of(nobody, "head -c 1000000 /dev/zero > /dev/shm/large; echo x > /tmp/small; touch ready; exec sleep 1000");
  prepare(launch);
  start(launch);
  until([&] { return fs::exists(path("work/ready")); }, "it has written");
  until_phase("a", GangPhase::running);
  EXPECT_FALSE(kept().empty());
  ::kill(static_cast<pid_t>(shim_pid("a")), SIGKILL);
  wait_finished(launch);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::supervisor_lost);
  // The agent's memory of it may be gone, too.
  stop_agent("a");
  start_agent("a");
  nodes.at("a").launcher->adopt();
  wait_finished(launch);
  nodes.at("a").launcher->forget(key);
  EXPECT_EQ(kept(), std::vector<std::string>());
}

TEST_F(PrivateTmp, JobsOfRootHaveItToo) {
  const std::string file = "/tmp/private-root-" + std::to_string(::getpid());
  auto launch = of(0, "touch " + file + " && ls -A /tmp && id -u");
  run(launch);
  EXPECT_EQ(output("a", 0), fs::path(file).filename().string() + "\n0\n");
  EXPECT_FALSE(fs::exists(file));
  nodes.at("a").launcher->forget(key);
  EXPECT_EQ(kept(), std::vector<std::string>());
}

TEST_F(PrivateTmp, WorkFoldersThatItHidesAreRefusedWithTheReason) {
  std::string hidden = "/tmp/private-tmp-work-XXXXXX";
  ASSERT_NE(::mkdtemp(hidden.data()), nullptr);
  auto launch = of(nobody, "true");
  launch.spec.working_directory = hidden;
  run(launch);
  fs::remove(hidden);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::start_failed);
  EXPECT_EQ(nodes.at("a").last().failure.value().detail, "working directory " + hidden + " does not exist on a, where each job has a /tmp of its own");
  nodes.at("a").launcher->forget(key);
  EXPECT_EQ(kept(), std::vector<std::string>());
}

TEST_F(PrivateTmp, RanksThatUseMpiMeetInIt) {
  auto launch = launch_of({mpi_rank, "reduce"}, {"a"}, 2);
  launch.owner = {nobody, "who", "test"};
  launch.spec.working_directory = path("work");
  launch.spec.mpi = MpiMode::pmix;
  launch.environment["HOME"] = path("work");
  run(launch);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::succeeded) << output("a", 0, "err") << output("a", 0);
  nodes.at("a").launcher->forget(key);
  EXPECT_EQ(kept(), std::vector<std::string>());
}

}  // namespace
}  // namespace ultramarine::launcher
