// Gangs of other users under an agent that is root: they are who they should be and no more, and they can't get at each other or, through the
// agent, at what is root's. Two users that every Debian has: nobody and daemon.
#include <pwd.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/integration/launcher/node_fixture.h"
#include "worker/launcher/message_text.h"
#include "worker/launcher/privileged/as_owner.h"
#include "worker/launcher/process_tree.h"

namespace ultramarine::launcher {
namespace {

using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

rlim_t rlimit_now(__rlimit_resource resource) {
  rlimit limit{};
  ::getrlimit(resource, &limit);
  return limit.rlim_cur;
}

class Owned : public VirtualNodes {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root runs jobs as other users";
    if (::getpwuid(nobody) == nullptr || ::getpwuid(daemon_user) == nullptr) GTEST_SKIP() << "this machine has no users 65534 and 1";
    minimum_uid = 1;
    containment = choose_containment("auto", "test-" + std::to_string(::getpid()));
    ::chmod(folder.c_str(), 0711);
    for (const char* node : {"a", "b"}) {
      make_private_folder(path(node) + jobs_below);
      for (const std::string& one : {path(node), path(node) + jobs_below}) ::chmod(one.c_str(), 0711);
    }
    for (const std::int64_t uid : {nobody, daemon_user}) {
      make_private_folder(home(uid));
      ::chown(home(uid).c_str(), static_cast<uid_t>(uid), ::getpwuid(static_cast<uid_t>(uid))->pw_gid);
    }
  }
  std::string home(std::int64_t uid) const { return path("home" + std::to_string(uid)); }
  protocol::LaunchSpec of(std::int64_t uid, const std::string& script, const std::vector<std::string>& names = {"a"}) {
    auto launch = shell(script, names, 1);
    launch.owner = {uid, "who", "test"};
    launch.spec.working_directory = home(uid);
    launch.environment["HOME"] = home(uid);
    return launch;
  }
  /// Why a job of this user is refused before anything starts; "" when it isn't.
  std::string refusal_of(std::int64_t uid) {
    nodes.clear();
    ++key.attempt;
    auto launch = of(nobody, "true");
    launch.owner.uid = uid;
    prepare(launch);
    const GangReport report = nodes.at("a").last();
    EXPECT_EQ(report.outcome == Outcome::start_failed, report.failure.has_value());
    stop(launch, milliseconds(0));
    wait_finished(launch);
    return report.failure.value_or(Failure{}).detail;
  }
};

TEST_F(Owned, RanksAreTheSubmittingUserAndNoMore) {
  auto launch = of(nobody, "id -u; id -ru; id -g; echo groups $(id -G); grep -E '^(Cap|NoNewPrivs)' /proc/self/status; ls /proc/self/fd | wc -l; "
                           "touch $ULTRA_SCRATCH/mine && stat -c '%u %a' $ULTRA_SCRATCH; cat /proc/$PPID/status | grep Uid; umask; pwd");
  launch.environment["LD_PRELOAD"] = "/no/such/library.so";  // is his own affair, and doesn't reach what runs before he is himself
  run(launch);
  const std::string seen = output("a", 0);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::succeeded) << seen << output("a", 0, "err");
  EXPECT_THAT(seen, testing::StartsWith("65534\n65534\n65534\ngroups 65534\n"));
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) EXPECT_THAT(seen, HasSubstr(std::string(set) + ":\t0000000000000000\n"));
  EXPECT_THAT(seen, HasSubstr("NoNewPrivs:\t1\n"));
  EXPECT_THAT(seen, HasSubstr("\n65534 700\n"));
  EXPECT_THAT(seen, HasSubstr("Uid:\t65534\t65534\t65534\t65534\n")) << "its supervisor is the user, too";
  EXPECT_THAT(seen, HasSubstr("\n0022\n" + home(nobody) + "\n"));
  struct stat status {};
  ASSERT_EQ(::stat(nodes.at("a").launcher->folder(key).c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, static_cast<uid_t>(nobody));
  EXPECT_EQ(status.st_mode & 0777, 0700u);
  EXPECT_THAT(read_whole(nodes.at("a").launcher->folder(key) + "/shim.log").value(), Not(HasSubstr("no/such/library")));
}

TEST_F(Owned, SetUidProgramsGiveNothing) {
  const std::string program = path("id-of-root");
  fs::copy_file("/usr/bin/id", program);
  ::chmod(program.c_str(), 04755);
  run(of(nobody, program + " -u"));
  EXPECT_EQ(output("a", 0), "65534\n");
}

TEST_F(Owned, AnotherUsersJobCannotReadSignalOrTraceTheFirst) {
  auto first = of(nobody, "echo confidential; echo ready > ready; sleep 1000");
  first.environment["SECRET"] = "hush";
  prepare(first);
  start(first);
  until([&] { return fs::exists(home(nobody) + "/ready"); }, "the first job runs");
  until_phase("a", GangPhase::running);
  const std::string rank = std::to_string(nodes.at("a").last().pids.at(0)), shim = std::to_string(shim_pid("a"));
  const std::string job = nodes.at("a").launcher->folder(key);

  auto second = of(daemon_user,
                   "id -u; try() { if \"$@\" >/dev/null 2>&1; then echo GOT \"$@\"; fi; }\n"
                   "for pid in " + rank + " " + shim + "; do try kill -0 $pid; try kill -KILL $pid; try cat /proc/$pid/environ; try head -c 1 /proc/$pid/mem; "
                   "try ls /proc/$pid/fd; try ls /proc/$pid/cwd/; done\n"
                   "try ls " + job + "; try cat " + job + "/rank_0.out; try cat " + job + "/report.json; try ls " + home(nobody) + "; try test -e " + job + "/shim.sock\n"
                   "try ls " + path("a") + "; try ls " + path("a") + jobs_below + "\n"
                   "for group in $(find /sys/fs/cgroup -path '*test-" + std::to_string(::getpid()) + "*' -name cgroup.procs); do try sh -c \"echo $$ > $group\"; done",
                   {"b"});
  ++second.key.job.value;
  run(second);
  const std::string seen = read_whole(nodes.at("b").launcher->folder(second.key) + "/rank_0.out").value();
  EXPECT_EQ(seen, "1\n") << "nothing but its own uid";
  EXPECT_TRUE(runs(std::stoll(rank)));
  EXPECT_EQ(output("a", 0), "confidential\n") << "root's agent reads it for those who may";
  stop(first, milliseconds(0));
  wait_finished(first);
}

TEST_F(Owned, AnotherUsersJobCannotOpenTheDevicesOfTheFirst) {
  // Two "GPUs" that everybody may open, as the driver makes them: nodes of the full and the zero device.
  devices_folder = path("dev");
  fs::create_directory(devices_folder);
  ::chmod(devices_folder.c_str(), 0755);
  const std::vector<std::string> gpus = {devices_folder + "/nvidia0", devices_folder + "/nvidia1"};
  for (const auto& [file, minor] : {std::pair{gpus[0], 7}, std::pair{gpus[1], 5}}) {
    ASSERT_EQ(::mknod(file.c_str(), S_IFCHR | 0666, makedev(1, static_cast<unsigned>(minor))), 0);
    ::chmod(file.c_str(), 0666);
  }
  const std::string look = "for gpu in " + gpus[0] + " " + gpus[1] + "; do head -c 1 $gpu >/dev/null 2>&1 && echo got $(basename $gpu); done\n";
  const auto with = [&](std::int64_t uid, std::int64_t device, const char* node, const std::string& script) {
    auto launch = of(uid, script, {node});
    launch.virtual_devices = false;
    launch.allocation[0].devices = {device};
    launch.local_devices = {{.device = device, .uuid = "GPU-" + std::to_string(device), .minor = device}};
    return launch;
  };
  for (const char* kind : {"cgroup_v1", "cgroup_v2"}) {
    try {
      containment = choose_containment(kind, "test-" + std::to_string(::getpid()));
    } catch (const FolderError& error) {
      std::printf("not run: %s: %s\n", kind, error.what());
      continue;
    }
    if (const auto limits = containment->limits(); std::find(limits.begin(), limits.end(), "devices") == limits.end()) {
      std::printf("not run: %s can't refuse devices here\n", kind);
      continue;
    }
    nodes.clear();
    ++key.attempt;
    fs::remove(home(nobody) + "/ready");
    auto first = with(nobody, 0, "a", look + "touch ready; sleep 1000");
    prepare(first);
    start(first);
    until([&] { return fs::exists(home(nobody) + "/ready"); }, "the first job has looked");
    until_phase("a", GangPhase::running);
    EXPECT_EQ(output("a", 0), "got nvidia0\n") << kind;
    // Neither by the device's name, nor by what the first job has open, nor by a node of its own.
    const std::string rank = std::to_string(nodes.at("a").last().pids.at(0));
    auto second = with(daemon_user, 1, "b", look + "cat /proc/" + rank + "/fd/* /proc/" + rank + "/root" + gpus[0] + "; mknod own c 1 7 && echo made\n"
                                                + "unshare -Ur mknod own c 1 7 && echo made; id -u");
    ++second.key.job.value;
    run(second);
    EXPECT_EQ(read_whole(nodes.at("b").launcher->folder(second.key) + "/rank_0.out").value(), "got nvidia1\n1\n") << kind;
    stop(first, milliseconds(0));
    wait_finished(first);
    std::printf("%s: a job opens its own device alone\n", kind);
  }
}

TEST_F(Owned, TheSupervisorIsSparedWhenMemoryRunsOutAndItsRanksCannotBe) {
  const auto score = [](std::int64_t pid) { return read_whole("/proc/" + std::to_string(pid) + "/oom_score_adj").value_or("gone"); };
  const std::string before = score(::getpid());
  const bool may_spare = static_cast<bool>(std::ofstream("/proc/self/oom_score_adj") << "-900" << std::flush);
  const auto launch = of(nobody, "echo -1 > /proc/self/oom_score_adj && echo taken back; cat /proc/$PPID/environ && echo traced; ls /proc/$PPID/fd && echo traced\n"
                                 "touch ready; sleep 1000");
  prepare(launch);
  start(launch);
  until([&] { return fs::exists(home(nobody) + "/ready"); }, "the rank has tried");
  until_phase("a", GangPhase::running);
  EXPECT_EQ(output("a", 0), "");
  EXPECT_EQ(score(nodes.at("a").last().pids.at(0)), "0\n");
  if (may_spare) EXPECT_EQ(score(shim_pid("a")), "-900\n");
  else std::printf("the supervisor's -900: not run, this process has no CAP_SYS_RESOURCE (the supervisor has %s)\n", score(shim_pid("a")).substr(0, 1).c_str());
  std::ofstream("/proc/self/oom_score_adj") << before;
  stop(launch, milliseconds(0));
  wait_finished(launch);
}

TEST_F(Owned, UsersWhoMayNotAreRefusedBeforeAnythingStarts) {
  EXPECT_THAT(refusal_of(54'321), HasSubstr("uid 54321 is unknown on this node"));
  minimum_uid = 1000;
  EXPECT_THAT(refusal_of(daemon_user), HasSubstr("uid 1 is below 1000"));
}

TEST_F(Owned, RootIsRefusedUnlessTheSiteAllowsItAndNobodyIsNobody) {
  EXPECT_EQ(refusal_of(0), "");
  root_jobs = false;
  EXPECT_THAT(refusal_of(0), HasSubstr("uid 0 may not run jobs"));
  for (const bool allowed : {false, true}) {
    root_jobs = allowed;
    EXPECT_THAT(refusal_of(-1), HasSubstr("uid -1 may not run jobs"));
    EXPECT_THAT(refusal_of(std::int64_t{1} << 32), HasSubstr("uid 4294967296 may not run jobs"));
  }
}

TEST_F(Owned, LockedMemoryIsRaisedBeforeTheSupervisorIsTheUser) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_MEMLOCK, &before), 0);
  const rlimit little{.rlim_cur = 64 << 10, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_MEMLOCK, &little), 0);
  const auto seen = [&](std::int64_t memlock_bytes) {
    nodes.clear();
    ++key.attempt;
    auto launch = of(nobody, "echo $(ulimit -Sl) $(ulimit -Hl) $(grep 'locked memory' /proc/$PPID/limits)");
    launch.memlock_bytes = memlock_bytes;
    run(launch);
    return output("a", 0);
  };
  const std::string all = before.rlim_max == RLIM_INFINITY ? "unlimited" : std::to_string(before.rlim_max);
  EXPECT_THAT(seen(0), HasSubstr("Max locked memory 65536 " + all + " bytes")) << "as the agent has it";
  EXPECT_EQ(seen(2 << 20), "2048 2048 Max locked memory 2097152 2097152 bytes\n");
  EXPECT_EQ(rlimit_now(RLIMIT_MEMLOCK), little.rlim_cur) << "the agent's own stays";
  const rlimit raised{.rlim_cur = little.rlim_cur, .rlim_max = RLIM_INFINITY};
  if (::setrlimit(RLIMIT_MEMLOCK, &raised) == 0) {
    const rlimit hard{.rlim_cur = 64 << 10, .rlim_max = 64 << 10};
    ::setrlimit(RLIMIT_MEMLOCK, &hard);
    EXPECT_EQ(seen(-1), "unlimited unlimited Max locked memory unlimited unlimited bytes\n");
    ::setrlimit(RLIMIT_MEMLOCK, &hard);
    EXPECT_EQ(seen(4 << 20), "4096 4096 Max locked memory 4194304 4194304 bytes\n");
  } else {
    std::printf("above the agent's hard limit: not run, this process has no CAP_SYS_RESOURCE\n");
    EXPECT_THAT(seen(-1), HasSubstr("Max locked memory " + all + " " + all + " bytes")) << "what there is";
  }
  ::setrlimit(RLIMIT_MEMLOCK, &before);
}

TEST_F(Owned, WorkFolderAndOutputAreOpenedAsTheUser) {
  auto launch = of(nobody, "true");
  launch.spec.working_directory = home(daemon_user);
  run(launch);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::start_failed);
  EXPECT_THAT(nodes.at("a").last().failure.value().detail, HasSubstr("permission denied"));
  nodes.clear();
  ++key.attempt;
  launch = of(nobody, "true");
  launch.spec.output = "/etc/ultramarine-was-here";
  run(launch);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::start_failed);
  EXPECT_FALSE(fs::exists("/etc/ultramarine-was-here"));
}

TEST_F(Owned, WhatAUserWritesIntoHisFolderMakesTheAgentDoNothingToOthers) {
  containment.reset();  // so that the agent has nothing but the user's word about what is left
  const pid_t bystander = ::fork();
  if (bystander == 0) {
    ::execl("/bin/sleep", "sleep", "1000", nullptr);
    ::_exit(1);
  }
  until([&] { return read_whole("/proc/" + std::to_string(bystander) + "/comm").value_or("") == "sleep\n"; }, "the bystander sleeps");
  fs::create_directory(path("precious"));
  std::ofstream(path("precious/file")) << "root's";
  const auto identity = identify(bystander).value();
  const Leftovers lie{.boot_id = boot_id(), .node = "a", .ranks = {identity}, .mark = "HOME=/", .folders = {path("precious")}};
  std::ofstream(home(nobody) + "/lie") << to_text(lie);
  // The shim's files are the user's: he may say what he likes in them.
  const auto launch = of(nobody, "cd $(dirname $ULTRA_PROGRESS); cp $OLDPWD/lie leftovers.json; rm report.json; ln -s " + path("precious/file") +
                                     " report.json; ln -s " + path("precious/file") + " launch.json.new; echo > $OLDPWD/ready; exec sleep 1000");
  prepare(launch);
  start(launch);
  until([&] { return fs::exists(home(nobody) + "/ready"); }, "the lie is told");
  ::kill(static_cast<pid_t>(shim_pid("a")), SIGKILL);
  wait_finished(launch);
  nodes.at("a").launcher->forget(key);
  EXPECT_TRUE(runs(bystander));
  EXPECT_EQ(read_whole(path("precious/file")), "root's");
  ::kill(bystander, SIGKILL);
  ::waitpid(bystander, nullptr, 0);
}

/// What a user can put in the place of a file of his folder: a command of the shell that takes a name.
struct Planted {
  const char* name;
  std::string command;
};

/// Agents read and write in folders of users on their only loop: none of this may hold them up, or fill their memory.
class Planting : public Owned, public testing::WithParamInterface<Planted> {
 protected:
  void SetUp() override {
    Owned::SetUp();
    if (IsSkipped()) return;
    ::alarm(100);  // whoever waits for a FIFO looks at no other clock
#ifndef ULTRAMARINE_SANITIZED
    ::getrlimit(RLIMIT_AS, &before_);
    const rlimit enough{.rlim_cur = rlim_t{4} << 30, .rlim_max = before_.rlim_max};
    ::setrlimit(RLIMIT_AS, &enough);  // so that a file without an end fills no more than this
#endif
    memory_before_ = most_memory();
  }
  void TearDown() override {
    if (IsSkipped()) return;
    ::alarm(0);
#ifndef ULTRAMARINE_SANITIZED
    ::setrlimit(RLIMIT_AS, &before_);
#endif
    EXPECT_LT(most_memory() - memory_before_, 256 << 10) << "KiB: as much as a message may have, a few times";
  }
  static long most_memory() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  }
  /// Of the shell: puts it in the place of all these files.
  static std::string plant(const std::vector<std::string>& files) {
    std::string script = "plant() { rm -rf \"$1\"; " + GetParam().command + "; }; for file in";
    for (const std::string& file : files) script += " " + file + " " + file + ".new";
    return script + "; do plant $file; done; ";
  }
  /// Of this gang alone; one with phase preparing when there is none.
  GangReport last_of(const GangKey& gang) {
    GangReport last;
    for (const GangReport& report : nodes.at("a").reports)
      if (report.key == gang) last = report;
    return last;
  }
  void expect_that_others_run() {
    auto other = of(daemon_user, "echo served", {"a"});
    other.node = "a";
    other.key = {JobId{key.job.value + 1}, others_++, 1};
    Launcher& launcher = *nodes.at("a").launcher;
    launcher.prepare(other);
    until([&] { return last_of(other.key).phase >= GangPhase::prepared; }, "another's job is prepared");
    launcher.send(other.key, protocol::Start{.key = other.key, .peers = {last_of(other.key).peer}});
    until([&] { return last_of(other.key).phase == GangPhase::finished; }, "another's job has finished");
    EXPECT_EQ(last_of(other.key).outcome, Outcome::succeeded) << last_of(other.key).failure.value_or(Failure{}).detail;
    EXPECT_EQ(read_whole(launcher.folder(other.key) + "/rank_0.out"), "served\n");
    launcher.forget(other.key);
  }
  const std::vector<std::string> all_ = {"report.json", "shim.pid", "leftovers.json", "checkpoints.json", "launch.json", "shim.log",
                                         "shim.sock", "rank_0.out", "rank_0.err", "rank_0.out.marks", "rank_0.out.gap"};

 private:
  rlimit before_{};
  long memory_before_ = 0;
  std::int64_t others_ = 1;
};

TEST_P(Planting, InPlaceOfItsFilesHoldsNoAgentUp) {
  for (const bool contained : {true, false}) {
    if (!contained) containment.reset();
    nodes.clear();
    ++key.attempt;
    fs::remove(home(nobody) + "/ready");
    const auto launch = of(nobody, "cd $(dirname $ULTRA_PROGRESS); " + plant(all_) + "touch $OLDPWD/ready; exec sleep 1000");
    prepare(launch);
    const std::int64_t shim = shim_pid("a");
    start(launch);
    until([&] { return fs::exists(home(nobody) + "/ready"); }, "all is planted");
    until_phase("a", GangPhase::running);
    // A new agent finds it like this while it runs, and again when its supervisor is gone.
    stop_agent("a");
    start_agent("a");
    nodes.at("a").launcher->adopt();
    expect_that_others_run();
    ::kill(static_cast<pid_t>(shim), SIGKILL);
    stop_agent("a");
    nodes.at("a").reports.clear();
    start_agent("a");
    nodes.at("a").launcher->adopt();
    until([&] { return last_of(key).phase == GangPhase::finished; }, "the loss is told");
    expect_that_others_run();
    nodes.at("a").launcher->forget(key);
    until([&] { return descendants_of(::getpid()).empty(); }, "nothing of it is left");
  }
}

TEST_P(Planting, UnderARunningAgentHoldsItNotUp) {
  const auto launch = of(nobody, "cd $(dirname $ULTRA_PROGRESS); " + plant(all_) + "touch $OLDPWD/ready; kill -9 $PPID; exec sleep 1000");
  prepare(launch);
  start(launch);
  wait_finished(launch);
  EXPECT_TRUE(fs::exists(home(nobody) + "/ready"));
  // As long as nobody had said that its rank runs, none did; and whose files are gone may be of before a reboot.
  EXPECT_THAT(nodes.at("a").last().outcome, testing::AnyOf(Outcome::supervisor_lost, Outcome::start_failed, Outcome::node_lost)) << to_text(nodes.at("a").last());
  expect_that_others_run();
  nodes.at("a").launcher->forget(key);
}

/// As `ultra exec` does beside a job that runs: the folder is there a moment before its supervisor.
TEST_P(Planting, BeforeItsSupervisorStartsHoldsNoAgentUp) {
  containment.reset();
  auto launch = of(nobody, "true");
  launch.node = "a";
  const std::string job = path("a") + jobs_below + "/" + text_of(key);
  make_owned_folder(job, nobody, ::getpwuid(nobody)->pw_gid);
  write_whole(job + "/launch.json", to_text(LaunchOrder{.settings = {.peer_host = "127.0.0.1", .boot_id = boot_id()}, .launch = launch}));
  ASSERT_EQ(std::system(("cd " + job + " && " + plant({"shim.log", "report.json.new"}) + "chown -hR " + std::to_string(nobody) + " .").c_str()), 0);
  start_agent("a");
  nodes.at("a").launcher->adopt();
  until_phase("a", GangPhase::prepared);  // with a log that is long, but a file
  stop(launch, milliseconds(0));
  wait_finished(launch);
  EXPECT_EQ(nodes.at("a").last().outcome, std::string(GetParam().name) == "HugeFile" ? Outcome::cancelled : Outcome::start_failed);
  expect_that_others_run();
}

INSTANTIATE_TEST_SUITE_P(Owned, Planting,
                         testing::Values(Planted{"Fifo", "mkfifo \"$1\""}, Planted{"LinkToZeros", "ln -s /dev/zero \"$1\""},
                                         Planted{"LinkToOurMemory", "ln -s /proc/self/fd/0 \"$1\""}, Planted{"Folder", "mkdir -p \"$1/in/it\""},
                                         Planted{"HugeFile", "truncate -s 100G \"$1\""}),
                         [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace ultramarine::launcher
