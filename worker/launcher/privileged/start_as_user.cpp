#include "worker/launcher/privileged/start_as_user.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "worker/launcher/user_file.h"

namespace ultramarine::launcher {
namespace {

/// Capabilities are numbered from 0; kernels know 41 of them, and refuse to talk of more than they know.
constexpr int capabilities_max = 64;
/// Every kernel since 3.16 knows all up to this one: one that says otherwise is not believed.
constexpr int least_last_capability = CAP_AUDIT_READ;
/// What is the user's already he can stop. It is then told to go on, so often, and killed.
constexpr int wake_interval_ms = 50, wakes_max = 60;

struct Word {
  PrivilegedStep step = PrivilegedStep::none;
  int error_number = 0;
  pid_t pid = -1;
};

/// All that the child reads, made before the fork: afterwards only async-signal-safe calls are allowed.
struct Prepared {
  const UserStart& start;
  std::vector<const char*> entrances;
  std::vector<char*> arguments, variables;
  std::vector<gid_t> groups;               // ascending, as the kernel tells them
  mutable std::vector<gid_t> groups_seen;  // room for one more
  int input = -1, pipe = -1;
};

/// Says where it ended, and why.
[[noreturn]] void give_up(const Prepared& prepared, PrivilegedStep step) {
  const Word word{.step = step, .error_number = errno};
  [[maybe_unused]] const ssize_t written = ::write(prepared.pipe, &word, sizeof word);
  ::_exit(127);
}

/// Of a call that has just been made.
void require(bool worked, const Prepared& prepared, PrivilegedStep step) {
  if (!worked) give_up(prepared, step);
}

/// Of what a call must have brought about.
void require_fact(bool holds, const Prepared& prepared, PrivilegedStep step) {
  errno = EPERM;
  if (!holds) give_up(prepared, step);
}

void enter_control_group(const Prepared& prepared) {
  for (const char* entrance : prepared.entrances) {
    const int file = ::open(entrance, O_WRONLY | O_CLOEXEC);
    require(file >= 0 && ::write(file, "0", 1) == 1, prepared, PrivilegedStep::control_group);
    ::close(file);
  }
}

/// The agent is kept from the kernel's choice of victims when memory runs out; what it starts for users is not, and can't be again.
void be_an_ordinary_victim() {
  const int file = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  [[maybe_unused]] const ssize_t written = ::write(file, "0", 1);
  ::close(file);
}

/// While root: also above the hard limits that the agent was started with.
void set_limits(const Prepared& prepared) {
  for (const ResourceLimit& limit : prepared.start.limits) {
    const auto resource = static_cast<__rlimit_resource>(limit.resource);
    const rlimit both{.rlim_cur = limit.soft, .rlim_max = limit.hard};
    rlimit seen{.rlim_cur = ~both.rlim_cur, .rlim_max = ~both.rlim_max};
    require(::setrlimit(resource, &both) == 0 && ::getrlimit(resource, &seen) == 0, prepared, PrivilegedStep::limits);
    require_fact(seen.rlim_cur == both.rlim_cur && seen.rlim_max == both.rlim_max, prepared, PrivilegedStep::limits);
  }
}

/// While root: only root may shrink it, and after that no program, not even a set-uid one, can bring a capability back.
void empty_bounding_set(const Prepared& prepared) {
  for (int capability = 0; capability < capabilities_max; ++capability) {
    const bool known = ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0;
    if (!known && errno == EINVAL && capability > least_last_capability) return;
    require(known, prepared, PrivilegedStep::bounding_set);
    require(::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0, prepared, PrivilegedStep::bounding_set);
    require_fact(::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 0, prepared, PrivilegedStep::bounding_set);
  }
}

void take_groups(const Prepared& prepared) {
  require(::setgroups(prepared.groups.size(), prepared.groups.data()) == 0, prepared, PrivilegedStep::groups);
  auto& seen = prepared.groups_seen;
  const int count = ::getgroups(static_cast<int>(seen.size()), seen.data());
  require(count >= 0, prepared, PrivilegedStep::groups);
  std::sort(seen.begin(), seen.begin() + count);
  require_fact(std::equal(prepared.groups.begin(), prepared.groups.end(), seen.begin(), seen.begin() + count), prepared, PrivilegedStep::groups);
}

void become(const Prepared& prepared) {
  const SystemUser& user = prepared.start.user;
  require_fact(user.uid != 0 && user.gid != 0, prepared, PrivilegedStep::uid);
  take_groups(prepared);
  require(::setresgid(user.gid, user.gid, user.gid) == 0, prepared, PrivilegedStep::gid);
  require(::setresuid(user.uid, user.uid, user.uid) == 0, prepared, PrivilegedStep::uid);
  uid_t uids[3] = {0, 0, 0};
  gid_t gids[3] = {0, 0, 0};
  require(::getresuid(&uids[0], &uids[1], &uids[2]) == 0 && ::getresgid(&gids[0], &gids[1], &gids[2]) == 0, prepared, PrivilegedStep::no_way_back);
  for (const uid_t uid : uids) require_fact(uid == user.uid, prepared, PrivilegedStep::no_way_back);
  for (const gid_t gid : gids) require_fact(gid == user.gid, prepared, PrivilegedStep::no_way_back);
  require_fact(::setuid(0) != 0 && ::seteuid(0) != 0, prepared, PrivilegedStep::no_way_back);
  require_fact(::setgid(0) != 0, prepared, PrivilegedStep::no_way_back);
}

void drop_capabilities(const Prepared& prepared) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct sets[2] = {};
  require(::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0, prepared, PrivilegedStep::capabilities);
  require(::syscall(SYS_capset, &header, sets) == 0, prepared, PrivilegedStep::capabilities);
  require(::syscall(SYS_capget, &header, sets) == 0, prepared, PrivilegedStep::capabilities);
  for (const auto& set : sets) require_fact((set.effective | set.permitted | set.inheritable) == 0, prepared, PrivilegedStep::capabilities);
  require(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, prepared, PrivilegedStep::no_new_privileges);
  require_fact(::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1, prepared, PrivilegedStep::no_new_privileges);
}

void reset_signals() {
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &standard, nullptr);  // refused for SIGKILL and SIGSTOP
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void become_and_run(const Prepared& prepared) {
  const UserStart& start = prepared.start;
  const Word self{.pid = ::getpid()};
  require(::write(prepared.pipe, &self, sizeof self) == static_cast<ssize_t>(sizeof self), prepared, PrivilegedStep::session);
  // Marked to be closed at the exec, so that the pipe can say until then what went wrong.
  require(::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) == 0, prepared, PrivilegedStep::streams);
  errno = enter_own_mounts(start.mounts);
  require(errno == 0, prepared, PrivilegedStep::mounts);
  set_limits(prepared);
  empty_bounding_set(prepared);
  become(prepared);
  drop_capabilities(prepared);
  // From here on as the user: he may not have what is opened, and that is then the answer.
  ::umask(077);
  const int log = open_for_appending(start.log_file.c_str());
  require(log >= 0 && ::dup2(prepared.input, 0) == 0 && ::dup2(log, 1) == 1 && ::dup2(log, 2) == 2, prepared, PrivilegedStep::streams);
  require(::chdir("/") == 0, prepared, PrivilegedStep::directory);
  reset_signals();
  ::execve(start.program.c_str(), prepared.arguments.data(), prepared.variables.data());
  give_up(prepared, PrivilegedStep::program);
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// The child's words, until its exec (or its death) closes the pipe.
void hear(int pipe, UserStartResult& result) {
  for (int wakes = 0;;) {
    pollfd ready{.fd = pipe, .events = POLLIN, .revents = 0};
    const int count = ::poll(&ready, 1, wake_interval_ms);
    if (count == 0 && result.pid > 0 && ++wakes > wakes_max) {
      ::kill(result.pid, SIGKILL);
      result = {.pid = -1, .step = PrivilegedStep::program, .error_number = ETIMEDOUT};
      return;
    }
    if (count == 0 && result.pid > 0) ::kill(result.pid, SIGCONT);
    if (count <= 0) continue;
    Word word;
    const ssize_t got = ::read(pipe, &word, sizeof word);
    if (got < 0 && errno == EINTR) continue;
    if (got != static_cast<ssize_t>(sizeof word)) return;
    if (word.pid > 0) result.pid = word.pid;
    if (word.step == PrivilegedStep::none) continue;
    result = {.pid = -1, .step = word.step, .error_number = word.error_number};
    return;
  }
}

}  // namespace

const char* name_of(PrivilegedStep step) {
  constexpr const char* names[] = {"", "fork", "entering the control group", "a session of its own", "opening its streams", "mounting its own /tmp and /dev/shm",
                                   "setting its limits (memlock in [fabric])", "emptying the bounding set", "setgroups", "setresgid", "setresuid", "making sure that there is no way back to root",
                                   "dropping capabilities", "no_new_privs", "chdir", "running its program"};
  return names[static_cast<int>(step)];
}

UserStartResult start_as_user(const UserStart& start) {
  std::vector<std::string> arguments = start.arguments;
  // An allow-list, from this node's own databases: nothing of the agent's environment or the user's comes along.
  std::vector<std::string> variables = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + start.user.home, "USER=" + start.user.name,
                                        "LOGNAME=" + start.user.name, "SHELL=" + start.user.shell};
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {.step = PrivilegedStep::fork, .error_number = errno};
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  Prepared prepared{.start = start,
                    .arguments = pointers_to(arguments),
                    .variables = pointers_to(variables),
                    .input = start.input < 0 ? nothing : start.input,
                    .pipe = ends[1]};
  for (const std::string& entrance : start.entrances) prepared.entrances.push_back(entrance.c_str());
  prepared.groups = start.user.groups;
  std::sort(prepared.groups.begin(), prepared.groups.end());
  prepared.groups_seen.resize(prepared.groups.size() + 1);

  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);  // no handler of ours may run in the child
  const pid_t between = ::fork();
  if (between == 0) {
    // First of all, so that nothing of what follows is outside.
    enter_control_group(prepared);
    be_an_ordinary_victim();
    require(::setsid() >= 0, prepared, PrivilegedStep::session);
    const pid_t child = ::fork();
    require(child >= 0, prepared, PrivilegedStep::fork);
    if (child > 0) ::_exit(0);
    become_and_run(prepared);
  }
  UserStartResult result{.step = between < 0 ? PrivilegedStep::fork : PrivilegedStep::none, .error_number = errno};
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::close(nothing);
  ::close(ends[1]);
  while (between > 0 && ::waitpid(between, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (between > 0) hear(ends[0], result);
  ::close(ends[0]);
  // A child that died without a word (it was killed) has started nothing.
  if (result.step == PrivilegedStep::none && result.pid < 0) result = {.pid = -1, .step = PrivilegedStep::fork, .error_number = ECHILD};
  return result;
}

}  // namespace ultramarine::launcher
