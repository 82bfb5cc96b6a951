#include "worker/launcher/process_start.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

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

void take_standard_streams(int pipe, int input, int output, int error) {
  if (::dup2(input, 0) < 0 || ::dup2(output, 1) < 0 || ::dup2(error, 2) < 0) give_up(pipe, StartStep::output);
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

int open_log(const std::string& path) { return ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600); }

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

  const pid_t parent = ::getpid();
  pid_t child = -1;
  {
    const SignalsHeld held;
    child = ::fork();
    if (child == 0) {
      ::setpgid(0, 0);
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) ::_exit(127);  // the shim died before we asked to die with it
      take_standard_streams(ends[1], nothing.get(), output, error);
      ::umask(022);
      if (::chdir(start.working_directory.c_str()) != 0) give_up(ends[1], StartStep::directory);
      close_others_at_exec();
      reset_signals();
      ::execve(start.program.c_str(), argument_pointers.data(), variable_pointers.data());
      give_up(ends[1], StartStep::program);
    }
  }
  if (child < 0) return failed(StartStep::fork);
  ::setpgid(child, child);  // on both sides: whoever is first
  writing.reset();
  const ChildWord word = hear(reading.get());
  if (word.step == StartStep::none) return {.pid = child};
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  return {.pid = -1, .step = word.step, .error_number = word.error_number};
}

StartResult start_detached(const std::string& program, const std::vector<std::string>& arguments, const std::string& log_file) {
  std::vector<std::string> words = {program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const std::vector<char*> argument_pointers = pointers_to(words);

  const Descriptor input(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const Descriptor log(open_log(log_file));
  if (log.get() < 0) return failed(StartStep::output);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return failed(StartStep::fork);
  const Descriptor reading(ends[0]);
  Descriptor writing(ends[1]);

  pid_t between = -1;
  {
    const SignalsHeld held;
    between = ::fork();
    if (between == 0) {
      ::setsid();
      const pid_t child = ::fork();
      if (child < 0) give_up(ends[1], StartStep::fork);
      if (child > 0) ::_exit(0);
      const ChildWord self{.pid = ::getpid()};
      if (::write(ends[1], &self, sizeof self) != static_cast<ssize_t>(sizeof self)) give_up(ends[1], StartStep::supervisor);
      take_standard_streams(ends[1], input.get(), log.get(), log.get());
      if (::chdir("/") != 0) give_up(ends[1], StartStep::directory);
      close_others_at_exec();
      reset_signals();
      ::execv(program.c_str(), argument_pointers.data());
      give_up(ends[1], StartStep::program);
    }
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
