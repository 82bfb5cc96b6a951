#include "worker/launcher/process_start.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "worker/launcher/user_file.h"

namespace ultramarine::launcher {
namespace {

/// What a child says before its exec: how far it came. `pid` is set by a detached child, which its starter can't know otherwise.
struct ChildWord {
  StartStep step = StartStep::none;
  int error_number = 0;
  pid_t pid = -1;
};

class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { reset(); }
  int get() const { return number_; }
  void reset(int number = -1) {
    if (number_ >= 0) ::close(number_);
    number_ = number;
  }

 private:
  int number_;
};

/// All signals wait while this lives: a handler of ours that ran in the child would write to descriptors that it shares with us.
class SignalsHeld {
 public:
  SignalsHeld() {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;
  ~SignalsHeld() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

struct ChildStack {
  alignas(16) char bytes[32 << 10];
};

/// Like fork, but the child has our memory instead of a copy of it, and we wait until it has become another program or ended: copying, and then every
/// page that is touched on either side, would take longer than all the rest. `work` doesn't return; it changes nothing that we read afterwards.
template <class Work>
pid_t start_child([[maybe_unused]] ChildStack& stack, const Work& work) {
#ifdef ULTRAMARINE_SANITIZED
  const pid_t child = ::fork();  // sanitizers watch stacks of their own making alone
  if (child == 0) work();
  return child;
#else
  const auto begin = [](void* argument) -> int {
    (*static_cast<const Work*>(argument))();
    ::_exit(127);
  };
  return ::clone(begin, stack.bytes + sizeof stack.bytes, CLONE_VM | CLONE_VFORK | SIGCHLD, const_cast<Work*>(&work));
#endif
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// The functions below run in the child.

[[noreturn]] void give_up(int pipe, StartStep step) {
  const ChildWord word{.step = step, .error_number = errno};
  [[maybe_unused]] const ssize_t written = ::write(pipe, &word, sizeof word);
  ::_exit(127);
}

void reset_signals() {
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  // Refused for SIGKILL, SIGSTOP and the library's own.
  for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &standard, nullptr);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void close_others_at_exec() {
  if (::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return;
  for (int descriptor = 3; descriptor < 4096; ++descriptor) ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
}

/// As much as was asked for, or where we may not raise the limit as much as we have.
void limit_locked_memory(std::int64_t bytes) {
  rlimit have{};
  if (::getrlimit(RLIMIT_MEMLOCK, &have) != 0) return;
  const rlim_t wanted = bytes < 0 ? RLIM_INFINITY : static_cast<rlim_t>(bytes);
  const rlimit both{.rlim_cur = wanted, .rlim_max = wanted};
  if (::setrlimit(RLIMIT_MEMLOCK, &both) == 0) return;
  const rlimit soft{.rlim_cur = have.rlim_max, .rlim_max = have.rlim_max};
  ::setrlimit(RLIMIT_MEMLOCK, &soft);
}

void take_standard_streams(int pipe, int input, int output, int error) {
  if (::dup2(input, 0) < 0 || ::dup2(output, 1) < 0 || ::dup2(error, 2) < 0) give_up(pipe, StartStep::output);
}

/// Into the control group, and with it all that this process will ever start.
void enter_groups(int pipe, const std::vector<std::string>& entrances) {
  for (const std::string& entrance : entrances) {
    const int file = ::open(entrance.c_str(), O_WRONLY | O_CLOEXEC);
    if (file < 0 || ::write(file, "0", 1) != 1) give_up(pipe, StartStep::containment);
    ::close(file);
  }
}

/// An agent that is root has kept itself from the kernel's choice of victims when memory runs out; what it starts is not kept. Everybody may give that up;
/// where root does, it can't be had again.
void be_an_ordinary_victim() {
  const int file = ::open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
  if (file < 0) return;
  char first = 0;
  const bool is_kept = ::read(file, &first, 1) == 1 && first == '-';
  if (is_kept || ::geteuid() == 0) {
    [[maybe_unused]] const ssize_t written = ::pwrite(file, "0", 1, 0);
  }
  ::close(file);
}

/// Reads the child's words until the exec (or its death) closes the pipe.
ChildWord hear(int pipe) {
  ChildWord last;
  pid_t pid = -1;
  ChildWord word;
  ssize_t got = 0;
  while ((got = ::read(pipe, &word, sizeof word)) != 0) {
    if (got < 0 && errno == EINTR) continue;
    if (got != static_cast<ssize_t>(sizeof word)) break;
    if (word.pid > 0) pid = word.pid;
    if (word.step != StartStep::none) last = word;
  }
  last.pid = pid;
  return last;
}

StartResult failed(StartStep step) { return {.pid = -1, .step = step, .error_number = errno}; }

}  // namespace

StartResult start_rank(const RankStart& start) {
  std::vector<std::string> arguments = start.arguments;
  std::vector<std::string> variables;
  for (const auto& [name, value] : start.environment) variables.push_back(name + "=" + value);
  const std::vector<char*> argument_pointers = pointers_to(arguments);
  const std::vector<char*> variable_pointers = pointers_to(variables);

  const Descriptor nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (nothing.get() < 0) return failed(StartStep::output);
  const int output = start.output < 0 ? nothing.get() : start.output;
  const int error = start.error < 0 ? nothing.get() : start.error;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return failed(StartStep::fork);
  const Descriptor reading(ends[0]);
  Descriptor writing(ends[1]);

  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  for (const int cpu : start.cpus)
    if (cpu >= 0 && cpu < CPU_SETSIZE) CPU_SET(static_cast<unsigned>(cpu), &cpus);
  const bool is_bound = CPU_COUNT(&cpus) > 0;

  const pid_t parent = ::getpid();
  pid_t child = -1;
  {
    const SignalsHeld held;
    ChildStack stack;
    child = start_child(stack, [&] {
      if (start.terminal < 0) ::setpgid(0, 0);
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) ::_exit(127);  // the shim died before we asked to die with it
      be_an_ordinary_victim();
      if (start.terminal < 0) {
        take_standard_streams(ends[1], nothing.get(), output, error);
      } else {
        ::setsid();
        take_standard_streams(ends[1], start.terminal, start.terminal, start.terminal);
        if (::ioctl(0, TIOCSCTTY, 0) != 0) give_up(ends[1], StartStep::output);
      }
      ::umask(022);
      if (start.memlock_bytes != 0) limit_locked_memory(start.memlock_bytes);
      if (is_bound) ::sched_setaffinity(0, sizeof cpus, &cpus);  // when refused it runs all the same, only slower
      if (::chdir(start.working_directory.c_str()) != 0) give_up(ends[1], StartStep::directory);
      close_others_at_exec();
      reset_signals();
      ::execve(start.program.c_str(), argument_pointers.data(), variable_pointers.data());
      give_up(ends[1], StartStep::program);
    });
  }
  if (child < 0) return failed(StartStep::fork);
  if (start.terminal < 0) ::setpgid(child, child);  // on both sides: whoever is first
  writing.reset();
  const ChildWord word = hear(reading.get());
  if (word.step == StartStep::none) return {.pid = child};
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  return {.pid = -1, .step = word.step, .error_number = word.error_number};
}

StartResult start_detached(const std::string& program, const std::vector<std::string>& arguments, const std::string& log_file,
                           const std::vector<std::string>& entrances, const OwnMounts& mounts, int input) {
  std::vector<std::string> words = {program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const std::vector<char*> argument_pointers = pointers_to(words);

  const Descriptor nothing(input < 0 ? ::open("/dev/null", O_RDONLY | O_CLOEXEC) : -1);
  const int standard_input = input < 0 ? nothing.get() : input;
  const Descriptor log(open_for_appending(log_file.c_str()));
  if (log.get() < 0) return failed(StartStep::output);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return failed(StartStep::fork);
  const Descriptor reading(ends[0]);
  Descriptor writing(ends[1]);

  pid_t between = -1;
  {
    const SignalsHeld held;
    ChildStack stack, inner_stack;
    between = start_child(stack, [&] {
      enter_groups(ends[1], entrances);
      be_an_ordinary_victim();
      ::setsid();
      const pid_t child = start_child(inner_stack, [&] {
        const ChildWord self{.pid = ::getpid()};
        if (::write(ends[1], &self, sizeof self) != static_cast<ssize_t>(sizeof self)) give_up(ends[1], StartStep::supervisor);
        take_standard_streams(ends[1], standard_input, log.get(), log.get());
        errno = enter_own_mounts(mounts);
        if (errno != 0) give_up(ends[1], StartStep::mounts);
        if (::chdir("/") != 0) give_up(ends[1], StartStep::directory);
        close_others_at_exec();
        reset_signals();
        ::execv(program.c_str(), argument_pointers.data());
        give_up(ends[1], StartStep::program);
      });
      if (child < 0) give_up(ends[1], StartStep::fork);
      ::_exit(0);
    });
  }
  if (between < 0) return failed(StartStep::fork);
  writing.reset();
  while (::waitpid(between, nullptr, 0) < 0 && errno == EINTR) {
  }
  const ChildWord word = hear(reading.get());
  if (word.step != StartStep::none) return {.pid = -1, .step = word.step, .error_number = word.error_number};
  return {.pid = word.pid};
}

}  // namespace ultramarine::launcher
