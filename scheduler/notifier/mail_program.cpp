#include "scheduler/notifier/mail_program.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "scheduler/notifier/plain_text.h"

namespace ultramarine::notifier {
namespace {

/// A file without a name, at its beginning, with this in it.
net::FileDescriptor file_with(const std::string& text) {
  net::FileDescriptor file(::memfd_create("message", MFD_CLOEXEC));
  for (std::size_t done = 0; file && done < text.size();) {
    const ssize_t written = ::pwrite(file.get(), text.data() + done, text.size() - done, static_cast<off_t>(done));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return net::FileDescriptor();
    done += static_cast<std::size_t>(written);
  }
  return file;
}

/// What a spawned program starts with; gives back what it took.
struct SpawnPlan {
  posix_spawn_file_actions_t files{};
  posix_spawnattr_t attributes{};
  SpawnPlan() {
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawnattr_init(&attributes);
  }
  ~SpawnPlan() {
    ::posix_spawn_file_actions_destroy(&files);
    ::posix_spawnattr_destroy(&attributes);
  }
};

int spawn(pid_t& pid, const std::string& program, const std::vector<std::string>& words, int input, int errors) {
  SpawnPlan plan;
  ::posix_spawn_file_actions_addchdir_np(&plan.files, "/");
  ::posix_spawn_file_actions_adddup2(&plan.files, input, 0);
  ::posix_spawn_file_actions_addopen(&plan.files, 1, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_adddup2(&plan.files, errors, 2);
  ::posix_spawn_file_actions_addclosefrom_np(&plan.files, 3);
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&plan.attributes, &none);
  ::posix_spawnattr_setsigdefault(&plan.attributes, &all);
  ::posix_spawnattr_setpgroup(&plan.attributes, 0);
  ::posix_spawnattr_setflags(&plan.attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  std::array<char*, 3> environment{const_cast<char*>("PATH=/usr/sbin:/usr/bin:/sbin:/bin"),
                                   const_cast<char*>("LANG=C.UTF-8"), nullptr};
  return ::posix_spawn(&pid, program.c_str(), &plan.files, &plan.attributes, arguments.data(), environment.data());
}

}  // namespace

MailProgram::MailProgram(const std::string& program, const std::string& from, const std::string& to,
                         const std::string& message, std::chrono::milliseconds timeout)
    : program_(program),
      deadline_(std::chrono::steady_clock::now() + timeout),
      errors_(::memfd_create("errors", MFD_CLOEXEC)) {
  const net::FileDescriptor input = file_with(message);
  int error = errno;
  if (input && errors_) error = spawn(pid_, program, {program, "-i", "-f", from, "--", to}, input.get(), errors_.get());
  if (!input || !errors_ || error != 0) {
    pid_ = -1;
    failed_start_ = End{Verdict::later, program + " can't be started: " + std::strerror(error)};
    return;
  }
  ended_ = net::FileDescriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
}

MailProgram::~MailProgram() {
  if (pid_ > 0) kill_and_wait();
}

void MailProgram::kill_and_wait() {
  ::kill(-pid_, SIGKILL);
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

std::optional<MailProgram::End> MailProgram::end() {
  if (pid_ <= 0) return failed_start_;
  int status = 0;
  const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
  if (ended == pid_) {
    pid_ = -1;
    return end_of(status);
  }
  if (std::chrono::steady_clock::now() < deadline_) return std::nullopt;
  kill_and_wait();
  return End{Verdict::later, program_ + " took too long"};
}

std::optional<MailProgram::End> MailProgram::end_of(int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return End{Verdict::delivered, ""};
  std::array<char, 1000> text{};
  const ssize_t length = ::pread(errors_.get(), text.data(), text.size(), 0);
  std::string said(text.data(), static_cast<std::size_t>(std::max<ssize_t>(length, 0)));
  said = one_line(said.substr(0, said.find('\n')));
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  const bool is_refusal = code == EX_USAGE || code == EX_DATAERR || code == EX_NOUSER || code == EX_NOHOST;
  return End{is_refusal ? Verdict::never : Verdict::later,
             program_ + " ended with code " + std::to_string(code) + (said.empty() ? "" : ": " + said)};
}

}  // namespace ultramarine::notifier
