#include "scheduler/cli/child_program.h"

#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <iterator>

#include "scheduler/cli/command_error.h"
#include "scheduler/cli/language.h"

namespace ultramarine::cli {
namespace {

/// A file without a name, in memory: no pipe that fills up while nobody reads.
class MemoryFile {
 public:
  MemoryFile() : fd_(memfd_create("ultra", MFD_CLOEXEC)) {}
  ~MemoryFile() {
    if (fd_ >= 0) close(fd_);
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  int fd() const { return fd_; }

  bool fill(const std::string& text) const {
    for (std::size_t done = 0; done < text.size();) {
      const ssize_t written = write(fd_, text.data() + done, text.size() - done);
      if (written < 0 && errno != EINTR) return false;
      done += written > 0 ? static_cast<std::size_t>(written) : 0;
    }
    return lseek(fd_, 0, SEEK_SET) == 0;
  }
  std::string text() const {
    std::string all;
    char piece[4096];
    for (ssize_t got = 0; (got = pread(fd_, piece, sizeof piece, static_cast<off_t>(all.size()))) > 0;)
      all.append(piece, static_cast<std::size_t>(got));
    return all;
  }

 private:
  int fd_;
};

[[noreturn]] void cant_start(const std::string& program, int error) {
  throw CommandError(exit_code::failure,
                     error_line("", spoken("can't start {0}", program) + ": " + heard(std::strerror(error)), ""));
}

/// Returns when the child has ended, or has been asked to because of the interrupt. It stays to be waited for.
void end_when_raised(const Interrupt& interrupt, pid_t child) {
  const int process = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
  if (process < 0) return;
  pollfd waited[] = {{process, POLLIN, 0}, {interrupt.fd(), POLLIN, 0}};
  while (poll(waited, std::size(waited), -1) < 0 && errno == EINTR) {
  }
  if (interrupt.raised()) kill(child, SIGTERM);
  close(process);
}

}  // namespace

std::optional<ProgramEnd> run_program(const std::vector<std::string>& arguments, const std::string& input,
                                      const std::string& folder, const Interrupt* interrupt) {
  const MemoryFile in, out, err;
  if (in.fd() < 0 || out.fd() < 0 || err.fd() < 0 || !in.fill(input)) cant_start(arguments.front(), errno);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.fd(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out.fd(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.fd(), STDERR_FILENO);
  if (!folder.empty()) posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  std::vector<char*> pointers;
  for (const std::string& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, pointers[0], &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error == ENOENT) return std::nullopt;
  if (error != 0) cant_start(arguments.front(), error);
  if (interrupt) end_when_raised(*interrupt, pid);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) cant_start(arguments.front(), errno);
  }
  if (interrupt) interrupt->check();
  return ProgramEnd{.code = WIFEXITED(status) ? WEXITSTATUS(status) : 0,
                    .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                    .out = out.text(),
                    .err = err.text()};
}

}  // namespace ultramarine::cli
