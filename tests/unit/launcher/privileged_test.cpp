// The room that gives up root's rights for a user: who is refused, and that no failing step, whichever it is, lets a program start. The failures
// are made for real, by a system call filter in a process of its own.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "worker/launcher/job_folder.h"
#include "worker/launcher/privileged/as_owner.h"
#include "worker/launcher/privileged/start_as_user.h"
#include "worker/launcher/privileged/user.h"

namespace ultramarine::launcher {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

constexpr std::int64_t nobody = 65534;
constexpr int set_limit = SYS_prlimit64;  // which is what the library makes of setrlimit and getrlimit

TEST(Users, AreLockedByAPasswordThatWasLockedOrByADay) {
  EXPECT_TRUE(is_locked("!$y$j9T$abc", -1, 20000));
  EXPECT_TRUE(is_locked("!!$6$abc", -1, 20000));
  EXPECT_TRUE(is_locked("$y$j9T$abc", 1, 20000));
  EXPECT_TRUE(is_locked("*", 20000, 20000));
  EXPECT_FALSE(is_locked("$y$j9T$abc", -1, 20000));
  EXPECT_FALSE(is_locked("$y$j9T$abc", 20001, 20000));
  for (const char* no_password : {"", "*", "!", "!!", "!*"}) EXPECT_FALSE(is_locked(no_password, -1, 20000)) << no_password;
}

TEST(Users, WhoMayNotRunJobsAreRefusedWithTheReason) {
  EXPECT_EQ(look_up_user(0, 1).problem, "uid 0 may not run jobs");
  EXPECT_EQ(look_up_user(-1, 1).problem, "uid -1 may not run jobs");
  EXPECT_EQ(look_up_user(4'294'967'295, 1).problem, "uid 4294967295 may not run jobs");
  EXPECT_EQ(look_up_user(std::int64_t{1} << 32, 1).problem, "uid 4294967296 may not run jobs") << "it would be cut to 0";
  EXPECT_THAT(look_up_user(1, 1000).problem, HasSubstr("uid 1 is below 1000"));
  EXPECT_THAT(look_up_user(3'999'999'999, 1000).problem, HasSubstr("uid 3999999999 is unknown on this node"));
  for (const auto uid : {std::int64_t{0}, std::int64_t{1} << 32, std::int64_t{3'999'999'999}}) EXPECT_FALSE(look_up_user(uid, 1).user);
}

TEST(Users, AreTakenFromTheNodesOwnDatabase) {
  if (::getpwuid(nobody) == nullptr) GTEST_SKIP() << "this machine has no user 65534";
  const auto found = look_up_user(nobody, 1000);
  ASSERT_TRUE(found.user) << found.problem;
  EXPECT_EQ(found.user->uid, nobody);
  EXPECT_EQ(found.user->name, ::getpwuid(nobody)->pw_name);
  EXPECT_THAT(found.user->groups, testing::Contains(found.user->gid));
}

/// As root, for the user nobody.
class Privileged : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
    const auto found = look_up_user(nobody, 1000);
    if (!found.user) GTEST_SKIP() << found.problem;
    user = *found.user;
    std::string name = "/tmp/privileged-test-XXXXXX";
    folder = ::mkdtemp(name.data());
    ::chown(folder.c_str(), user.uid, user.gid);
  }
  void TearDown() override {
    if (!folder.empty()) fs::remove_all(folder);
  }
  UserStart touch() const {
    return {.user = user,
            .program = "/bin/sh",
            .arguments = {"sh", "-c", "echo $$ > " + folder + "/ran"},
            .log_file = folder + "/log",
            .entrances = entrances,
            .limits = {{.resource = RLIMIT_CORE, .soft = 0, .hard = 0}},
            .mounts = mounts};
  }
  void wait_until_it_ran() const {
    for (const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10); !ran() && std::chrono::steady_clock::now() < until;) ::sched_yield();
  }
  bool ran() const { return fs::exists(folder + "/ran"); }

  /// In a process of its own where this system call does nothing and answers `answer` (0 = as if it had worked).
  UserStartResult start_without(int system_call, int answer, int first_argument = -1) {
    int ends[2];
    if (::pipe(ends) != 0) return {};
    const pid_t child = ::fork();
    if (child == 0) {
      std::vector<sock_filter> code = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
      const auto skip = static_cast<__u8>(first_argument < 0 ? 1 : 3);
      code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<__u32>(system_call), 0, skip));
      if (first_argument >= 0) {
        code.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)));
        code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<__u32>(first_argument), 0, 1));
      }
      code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<__u32>(answer)));
      code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
      const sock_fprog program{.len = static_cast<unsigned short>(code.size()), .filter = code.data()};
      if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) ::_exit(9);
      const UserStartResult result = start_as_user(touch());
      [[maybe_unused]] const auto written = ::write(ends[1], &result, sizeof result);
      ::_exit(0);
    }
    ::close(ends[1]);
    UserStartResult result{.step = PrivilegedStep::program, .error_number = -1};
    [[maybe_unused]] const auto got = ::read(ends[0], &result, sizeof result);
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    return result;
  }

  SystemUser user;
  std::string folder;
  std::vector<std::string> entrances;
  OwnMounts mounts;
};

TEST_F(Privileged, AProgramStartsWhenEveryStepWorks) {
  const UserStartResult result = start_as_user(touch());
  ASSERT_EQ(result.step, PrivilegedStep::none) << name_of(result.step);
  wait_until_it_ran();
  EXPECT_TRUE(ran());
  EXPECT_EQ(owner_of(folder), nobody);
}

TEST_F(Privileged, AProgramIsAnOrdinaryVictimAndStaysOne) {
  const std::string score = "/proc/self/oom_score_adj", before = read_whole(score).value();
  const bool below = static_cast<bool>(std::ofstream(score) << "-900" << std::flush);
  if (!below) std::printf("a score below 0: not run, this process has no CAP_SYS_RESOURCE\n");
  if (!below) std::ofstream(score) << "500";
  UserStart start = touch();
  start.arguments[2] = "cat /proc/self/oom_score_adj > " + folder + "/seen; echo -1 > /proc/self/oom_score_adj; echo $? >> " + folder + "/seen; touch " + folder + "/ran";
  const UserStartResult result = start_as_user(start);
  std::ofstream(score) << before;
  ASSERT_EQ(result.step, PrivilegedStep::none) << name_of(result.step);
  wait_until_it_ran();
  const std::string seen = read_whole(folder + "/seen").value_or("");
  EXPECT_TRUE(seen.starts_with("0\n") && seen != "0\n0\n") << seen;
}

TEST_F(Privileged, NoStepThatFailsLetsAProgramStart) {
  const struct {
    int system_call, first_argument;
    PrivilegedStep step;
  } cases[] = {{SYS_setsid, -1, PrivilegedStep::session},
               {SYS_close_range, -1, PrivilegedStep::streams},
               {set_limit, -1, PrivilegedStep::limits},
               {SYS_prctl, PR_CAPBSET_READ, PrivilegedStep::bounding_set},
               {SYS_prctl, PR_CAPBSET_DROP, PrivilegedStep::bounding_set},
               {SYS_setgroups, -1, PrivilegedStep::groups},
               {SYS_getgroups, -1, PrivilegedStep::groups},
               {SYS_setresgid, -1, PrivilegedStep::gid},
               {SYS_setresuid, -1, PrivilegedStep::uid},
               {SYS_getresuid, -1, PrivilegedStep::no_way_back},
               {SYS_getresgid, -1, PrivilegedStep::no_way_back},
               {SYS_prctl, PR_CAP_AMBIENT, PrivilegedStep::capabilities},
               {SYS_capset, -1, PrivilegedStep::capabilities},
               {SYS_capget, -1, PrivilegedStep::capabilities},
               {SYS_prctl, PR_SET_NO_NEW_PRIVS, PrivilegedStep::no_new_privileges},
               {SYS_prctl, PR_GET_NO_NEW_PRIVS, PrivilegedStep::no_new_privileges},
               {SYS_chdir, -1, PrivilegedStep::directory},
               {SYS_execve, -1, PrivilegedStep::program}};
  for (const auto& one : cases) {
    const UserStartResult result = start_without(one.system_call, EPERM, one.first_argument);
    EXPECT_EQ(result.step, one.step) << name_of(one.step) << ", not " << name_of(result.step);
    EXPECT_EQ(result.error_number, EPERM) << name_of(one.step);
    EXPECT_EQ(result.pid, -1) << name_of(one.step);
    EXPECT_FALSE(ran()) << name_of(one.step);
  }
}

TEST_F(Privileged, NoStepThatOnlySaysThatItWorkedLetsAProgramStart) {
  const struct {
    int system_call, first_argument;
    PrivilegedStep step;
  } cases[] = {{set_limit, -1, PrivilegedStep::limits},
               {SYS_setgroups, -1, PrivilegedStep::groups},
               {SYS_setresuid, -1, PrivilegedStep::no_way_back},
               {SYS_setresgid, -1, PrivilegedStep::no_way_back},
               {SYS_setuid, -1, PrivilegedStep::no_way_back},
               {SYS_setgid, -1, PrivilegedStep::no_way_back},
               {SYS_prctl, PR_CAPBSET_DROP, PrivilegedStep::bounding_set},
               {SYS_prctl, PR_SET_NO_NEW_PRIVS, PrivilegedStep::no_new_privileges}};
  // Whoever has a group of somebody else's beforehand keeps it when nobody takes it away; one that is in more groups than he should be is found, too.
  const gid_t foreign = 0;
  ASSERT_EQ(::setgroups(1, &foreign), 0);
  for (const auto& one : cases) {
    EXPECT_EQ(start_without(one.system_call, 0, one.first_argument).step, one.step) << name_of(one.step);
    EXPECT_FALSE(ran()) << name_of(one.step);
  }
  ::setgroups(0, nullptr);
  EXPECT_EQ(start_without(SYS_setgroups, 0).step, PrivilegedStep::groups) << "none instead of his own";
  // No kernel knows so few: what says so hides some.
  EXPECT_EQ(start_without(SYS_prctl, EINVAL, PR_CAPBSET_READ).step, PrivilegedStep::bounding_set);
  EXPECT_FALSE(ran());
}

TEST_F(Privileged, ALimitAboveTheHardOneIsSetByRootOrNothingStarts) {
  UserStart start = touch();
  start.limits = {{.resource = RLIMIT_CORE, .soft = 2, .hard = 1}};
  const UserStartResult result = start_as_user(start);
  EXPECT_EQ(result.step, PrivilegedStep::limits);
  EXPECT_EQ(result.error_number, EINVAL);
  start.limits = {{.resource = RLIMIT_CORE, .soft = 4096, .hard = 8192}};
  start.arguments = {"sh", "-c", "grep 'core file' /proc/self/limits > " + folder + "/seen; touch " + folder + "/ran"};
  ASSERT_EQ(start_as_user(start).step, PrivilegedStep::none);
  wait_until_it_ran();
  EXPECT_THAT(read_whole(folder + "/seen").value_or(""), testing::ContainsRegex("4096 +8192 +bytes"));
}

TEST_F(Privileged, AControlGroupThatCannotBeEnteredLetsNoProgramStart) {
  entrances = {folder + "/no/such/group"};
  EXPECT_EQ(start_as_user(touch()).step, PrivilegedStep::control_group);
  entrances = {"/dev/null", "/dev/full"};
  const UserStartResult result = start_as_user(touch());
  EXPECT_EQ(result.step, PrivilegedStep::control_group) << "every one of them";
  EXPECT_EQ(result.error_number, ENOSPC);
  EXPECT_FALSE(ran());
}

TEST_F(Privileged, AUserWhoStopsWhatIsHisHoldsNobodyUp) {
  // A number of nobody else's: all processes that have it are stopped, as fast as a process can, for as long as the test goes on.
  user.uid = 64'399;
  user.gid = 64'399;
  user.groups = {user.gid};
  ASSERT_EQ(::chown(folder.c_str(), user.uid, user.gid), 0);
  UserStart stopper = touch();
  stopper.arguments = {"sh", "-c", "while :; do kill -STOP -1; done"};
  const UserStartResult other = start_as_user(stopper);
  ASSERT_EQ(other.step, PrivilegedStep::none) << name_of(other.step);
  ::alarm(100);
  for (int round = 0; round < 20; ++round) {
    const UserStartResult result = start_as_user(touch());
    if (result.pid > 0) ::kill(result.pid, SIGKILL);
  }
  ::alarm(0);
  ::kill(other.pid, SIGKILL);
}

TEST_F(Privileged, NoMountThatFailsOrOnlySaysThatItWorkedLetsAProgramStart) {
  for (const char* name : {"tmp", "shm"}) fs::create_directory(folder + "/" + name);
  mounts = {.tmp = folder + "/tmp", .shm = folder + "/shm"};
  const auto mounted = [] { return read_whole("/proc/self/mountinfo").value(); };
  const std::string before = mounted();
  for (const int system_call : {SYS_unshare, SYS_mount}) {
    for (const int answer : {ENOSPC, 0}) {
      const UserStartResult result = start_without(system_call, answer);
      EXPECT_EQ(result.step, PrivilegedStep::mounts) << system_call << " answers " << answer;
      EXPECT_EQ(result.error_number, answer == 0 ? EPERM : answer) << system_call;
    }
  }
  mounts.tmp += "/missing";
  EXPECT_EQ(start_as_user(touch()).step, PrivilegedStep::mounts);
  EXPECT_FALSE(ran());
  EXPECT_EQ(mounted(), before) << "the node's own places";
}

TEST_F(Privileged, AUserWithTooManyProcessesStartsNone) {
  // setresuid finds him over his limit, by a process that he has already, and the kernel then refuses the exec.
  UserStart already = touch();
  already.arguments = {"sh", "-c", "exec sleep 1000"};
  const UserStartResult one = start_as_user(already);
  ASSERT_EQ(one.step, PrivilegedStep::none);
  rlimit before{};
  ::getrlimit(RLIMIT_NPROC, &before);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NPROC, &none), 0);
  const UserStartResult result = start_as_user(touch());
  ::setrlimit(RLIMIT_NPROC, &before);
  ::kill(static_cast<pid_t>(one.pid), SIGKILL);
  EXPECT_EQ(result.step, PrivilegedStep::program);
  EXPECT_EQ(result.error_number, EAGAIN);
  EXPECT_FALSE(ran());
}

TEST_F(Privileged, RootIsNobodysUser) {
  UserStart start = touch();
  start.user.uid = 0;
  EXPECT_EQ(start_as_user(start).step, PrivilegedStep::uid);
  start = touch();
  start.user.gid = 0;
  EXPECT_EQ(start_as_user(start).step, PrivilegedStep::uid);
  EXPECT_FALSE(ran());
}

TEST_F(Privileged, ALogThatIsALinkIsNotFollowed) {
  const std::string precious = folder + "/precious";
  ASSERT_EQ(::symlink(precious.c_str(), (folder + "/log").c_str()), 0);
  EXPECT_EQ(start_as_user(touch()).step, PrivilegedStep::streams);
  EXPECT_FALSE(fs::exists(precious));
}

TEST_F(Privileged, ALogThatIsNoFileIsNotWaitedFor) {
  const std::string log = folder + "/log";
  ASSERT_EQ(::mkfifo(log.c_str(), 0600), 0);
  ASSERT_EQ(::chown(log.c_str(), user.uid, user.gid), 0);
  EXPECT_EQ(start_as_user(touch()).step, PrivilegedStep::streams) << "nobody reads it";
  const int reader = ::open(log.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  const UserStartResult read = start_as_user(touch());
  EXPECT_EQ(read.step, PrivilegedStep::streams) << "somebody reads it";
  EXPECT_EQ(read.error_number, EINVAL);
  ::close(reader);
  EXPECT_FALSE(ran());
}

TEST_F(Privileged, AsTheOwnerRootCanDoNoMoreThanHe) {
  const std::string secret = "/tmp/privileged-test-secret-" + std::to_string(::getpid());
  std::ofstream(secret) << "secret";
  ::chmod(secret.c_str(), 0600);
  ASSERT_EQ(::symlink(secret.c_str(), (folder + "/link").c_str()), 0);
  {
    const AsOwner as_owner(folder);
    EXPECT_EQ(::geteuid(), user.uid);
    EXPECT_LT(::open((folder + "/link").c_str(), O_RDONLY | O_CLOEXEC), 0);
    const AsOwner inside(folder);
    EXPECT_EQ(::geteuid(), user.uid);
    write_durably(folder + "/file", "his");
  }
  EXPECT_EQ(::geteuid(), 0u);
  EXPECT_EQ(::getegid(), 0u);
  EXPECT_GE(::open((folder + "/link").c_str(), O_RDONLY | O_CLOEXEC), 0) << "root again";
  struct stat status {};
  ASSERT_EQ(::stat((folder + "/file").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, user.uid);
  fs::remove(secret);
}

}  // namespace
}  // namespace ultramarine::launcher
