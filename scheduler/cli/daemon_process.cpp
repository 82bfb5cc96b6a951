#include "scheduler/cli/daemon_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "scheduler/cli/command_error.h"
#include "scheduler/cli/language.h"

namespace ultramarine::cli {
namespace {

std::string whole_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string this_boot() {
  std::string id = whole_file("/proc/sys/kernel/random/boot_id");
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return id;
}

struct Stat {
  char state = 'X';
  std::int64_t parent = 0, start_ticks = 0;
};

std::optional<Stat> stat_of(std::int64_t pid) {
  const std::string text = whole_file("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t bracket = text.rfind(')');  // the name may hold anything
  if (bracket == std::string::npos) return std::nullopt;
  std::istringstream rest(text.substr(bracket + 1));
  Stat result;
  rest >> result.state >> result.parent;
  std::string field;
  for (int number = 5; number < 22; ++number) rest >> field;
  rest >> result.start_ticks;
  if (!rest) return std::nullopt;
  return result;
}

std::vector<std::int64_t> all_pids() {
  std::vector<std::int64_t> pids;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename().string();
    std::int64_t pid = 0;
    const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (problem == std::errc() && end == name.data() + name.size()) pids.push_back(pid);
  }
  return pids;
}

int open_process(const Process& process) {
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, static_cast<pid_t>(process.pid), 0));
  if (fd < 0) return -1;
  // Between looking and opening the pid may have gone to another.
  if (is_running(process)) return fd;
  close(fd);
  return -1;
}

[[noreturn]] void child(const std::vector<std::string>& arguments, int log, int report) {
  setsid();
  const int null = open("/dev/null", O_RDONLY);
  dup2(null, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD}) sigaction(signal, &standard, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  // A daemon must not keep what its starter had open (a pipe that somebody waits to see closed); `report` closes itself
  // on exec.
  for (int fd = STDERR_FILENO + 1; fd < 1024; ++fd) {
    if (fd != report) close(fd);
  }
  std::vector<char*> pointers;
  for (const std::string& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  execv(pointers[0], pointers.data());
  const int error = errno;
  if (write(report, &error, sizeof error) < 0) _exit(126);
  _exit(127);
}

}  // namespace

std::optional<Process> identify(std::int64_t pid) {
  const auto stat = stat_of(pid);
  if (!stat || stat->state == 'Z' || stat->state == 'X') return std::nullopt;
  return Process{pid, stat->start_ticks, this_boot()};
}

bool is_running(const Process& process) { return process.pid > 0 && identify(process.pid) == process; }

bool send_signal(const Process& process, int signal) {
  const int fd = open_process(process);
  if (fd < 0) return false;
  const bool sent = syscall(SYS_pidfd_send_signal, fd, signal, nullptr, 0) == 0;
  close(fd);
  return sent;
}

std::vector<Process> descendants_of(const Process& process) {
  std::vector<std::pair<std::int64_t, std::int64_t>> parents;
  for (const std::int64_t pid : all_pids()) {
    if (const auto stat = stat_of(pid)) parents.emplace_back(pid, stat->parent);
  }
  std::vector<std::int64_t> found{process.pid};
  for (std::size_t i = 0; i < found.size(); ++i) {
    for (const auto& [pid, parent] : parents) {
      if (parent == found[i] && std::find(found.begin(), found.end(), pid) == found.end()) found.push_back(pid);
    }
  }
  std::vector<Process> result;
  for (std::size_t i = 1; i < found.size(); ++i) {
    if (const auto one = identify(found[i])) result.push_back(*one);
  }
  return result;
}

std::vector<Process> processes_with_environment(const std::string& entry) {
  std::vector<Process> found;
  for (const std::int64_t pid : all_pids()) {
    const std::string environment = std::string(1, '\0') + whole_file("/proc/" + std::to_string(pid) + "/environ");
    if (pid == getpid() || environment.find(std::string(1, '\0') + entry + std::string(1, '\0')) == std::string::npos)
      continue;
    if (const auto one = identify(pid)) found.push_back(*one);
  }
  return found;
}

Process start_daemon(const DaemonFiles& files, const std::vector<std::string>& arguments) {
  const auto fail = [&](const std::string& what, int error) {
    throw CommandError(exit_code::failure, error_line("", what + ": " + heard(std::strerror(error)), ""));
  };
  const int log = open(files.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0) fail(spoken("can't write {0}", files.log_file), errno);
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) fail(spoken("can't make a pipe"), errno);
  const pid_t pid = fork();
  if (pid == 0) child(arguments, log, report[1]);
  const int fork_error = errno;
  close(log);
  close(report[1]);
  if (pid < 0) {
    close(report[0]);
    fail(spoken("can't start {0}", arguments.front()), fork_error);
  }
  int error = 0;
  ssize_t got = 0;
  do got = read(report[0], &error, sizeof error);  // ends when the new program runs
  while (got < 0 && errno == EINTR);
  close(report[0]);
  if (got == static_cast<ssize_t>(sizeof error)) {
    waitpid(pid, nullptr, 0);
    throw CommandError(exit_code::failure,
                       error_line("", spoken("can't run {0}", arguments.front()) + ": " + heard(std::strerror(error)),
                                  spoken("build or install it beside ultra")));
  }
  // One that has died already has no start time any more; its log says why.
  const Process process = identify(pid).value_or(Process{pid, -1, ""});
  const std::string fresh = files.pid_file + ".new";
  std::ofstream file(fresh, std::ios::trunc);
  file << process.pid << ' ' << process.start_ticks << ' ' << process.boot_id << '\n';
  file.close();
  if (!file || rename(fresh.c_str(), files.pid_file.c_str()) != 0) {
    const int write_error = errno;
    kill(pid, SIGKILL);  // our child, not reaped: the pid is still its own
    waitpid(pid, nullptr, 0);
    fail(spoken("can't write {0}", files.pid_file), write_error);
  }
  return process;
}

std::optional<Process> running_daemon(const std::string& pid_file) {
  std::istringstream text(whole_file(pid_file));
  Process process;
  text >> process.pid >> process.start_ticks >> process.boot_id;
  if (!text || !is_running(process)) return std::nullopt;
  return process;
}

void reap() {
  while (waitpid(-1, nullptr, WNOHANG) > 0) {
  }
}

bool await_end(const std::vector<Process>& processes, std::chrono::milliseconds limit,
               const std::function<void(std::size_t)>& tick) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (;;) {
    reap();
    std::vector<pollfd> running;
    for (const Process& process : processes) {
      const int fd = open_process(process);
      if (fd >= 0) running.push_back({fd, POLLIN, 0});
    }
    if (running.empty()) return true;
    const bool over = std::chrono::steady_clock::now() >= deadline;
    if (!over) {
      tick(running.size());
      poll(running.data(), running.size(), 50);  // woken by the end of one of them, or to say how it goes
    }
    for (const pollfd& one : running) close(one.fd);
    if (over) return false;
  }
}

void stop_processes(const std::vector<Process>& processes, std::chrono::milliseconds grace,
                    const std::function<void(std::size_t)>& tick) {
  for (const Process& process : processes) send_signal(process, SIGTERM);
  if (await_end(processes, grace, tick)) return;
  for (const Process& process : processes) send_signal(process, SIGKILL);
  await_end(processes, std::chrono::seconds(10), tick);
}

std::string last_line(const std::string& file, std::uint64_t from) {
  std::istringstream text(whole_file(file).substr(std::min<std::uint64_t>(from, whole_file(file).size())));
  std::string last;
  for (std::string line; std::getline(text, line);) {
    if (line.find_first_not_of(" \t\r") != std::string::npos) last = line;
  }
  return last;
}

}  // namespace ultramarine::cli
