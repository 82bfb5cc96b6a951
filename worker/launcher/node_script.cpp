#include "worker/launcher/node_script.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <iterator>
#include <system_error>
#include <thread>

#include "scheduler/net/endpoint.h"
#include "worker/launcher/log_tail.h"
#include "worker/launcher/process_look.h"
#include "worker/launcher/process_start.h"

namespace ultramarine::launcher {
namespace {

constexpr std::size_t tail_bytes = 4096;
constexpr auto look_interval = std::chrono::milliseconds(20);

std::string in_seconds(std::chrono::milliseconds time) {
  const auto ms = time.count();
  return ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms";
}

/// SIGKILL may take for ever: nobody waits, but a thread of its own, so that no dead process stays.
void reap_whenever_it_ends(pid_t pid) {
  if (::waitpid(pid, nullptr, WNOHANG) != 0) return;
  try {
    std::thread([pid] {
      while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
      }
    }).detach();
  } catch (const std::system_error&) {  // no thread is to be had: it stays until this program ends
  }
}

}  // namespace

NodeScript::NodeScript(net::Loop& loop, std::string program, std::map<std::string, std::string> variables, std::chrono::milliseconds deadline,
                       OnEnd on_end)
    : loop_(loop), program_(std::move(program)), deadline_(deadline), on_end_(std::move(on_end)) {
  variables["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  variables["LANG"] = "C.UTF-8";
  int ends[2] = {-1, -1};
  StartResult result{.step = StartStep::output, .error_number = EMFILE};
  if (::pipe2(ends, O_CLOEXEC) == 0) {
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    result = start_rank({.program = program_, .arguments = {program_}, .environment = variables, .working_directory = "/", .output = ends[1], .error = ends[1]});
    ::close(ends[1]);
    output_ = ends[0];
  }
  if (result.step != StartStep::none) {
    look_timer_ = loop_.after(
        std::chrono::milliseconds(0),
        [this, why = std::string(std::strerror(result.error_number))] { end_with("can't be run: " + why); });
    return;
  }
  pid_ = result.pid;
  deadline_timer_ = loop_.after(deadline_, [this] {
    too_late_ = true;
    kill_all();
  });
  watch();
}

NodeScript::~NodeScript() {
  output_watch_.reset();
  process_watch_.reset();
  if (pid_ > 0) {
    ::kill(-static_cast<pid_t>(pid_), SIGKILL);
    reap_whenever_it_ends(static_cast<pid_t>(pid_));
  }
  if (process_ >= 0) ::close(process_);
  if (output_ >= 0) ::close(output_);
}

/// Where no descriptor is to be had for that (too many are open), it is looked at now and then.
void NodeScript::watch() {
  try {
    if (const auto identity = identify(pid_)) process_ = open_process(*identity);
    output_watch_ = loop_.on_readable(output_, [this] { read_output(); });
    if (process_ >= 0) process_watch_ = loop_.on_readable(process_, [this] { look(); });
  } catch (const net::NetError&) {
  }
  if (!process_watch_) look_soon();
}

void NodeScript::look_soon() {
  look_timer_ = loop_.after(look_interval, [this] { look(); });
}

/// May end this object: whoever is told of the end may destroy it.
void NodeScript::look() {
  read_output();
  reap();
  if (too_late_ || is_stopped_) return look_after_the_kill();
  if (pid_ < 0) return end_with(problem_of_its_own());
  if (!process_watch_) look_soon();
}

void NodeScript::look_after_the_kill() {
  const std::vector<ProcessIdentity> left = survivors();
  if (!left.empty() && std::chrono::steady_clock::now() < given_up_at_) return look_soon();
  std::string problem = too_late_ ? "did not end within " + in_seconds(deadline_) : "was stopped";
  if (!left.empty())
    return end_with(problem + ", and " + described(left.front().pid) + " can't be killed" + last_line());
  end_with(too_late_ ? problem + " and was killed" + last_line() : "");
}

std::vector<ProcessIdentity> NodeScript::survivors() const {
  std::vector<ProcessIdentity> left;
  std::copy_if(killed_.begin(), killed_.end(), std::back_inserter(left), is_running);
  return left;
}

void NodeScript::stop() {
  if (too_late_ || !on_end_) return;
  is_stopped_ = true;
  kill_all();
}

void NodeScript::kill_all() {
  deadline_timer_.reset();
  given_up_at_ = std::chrono::steady_clock::now() + kill_patience;
  if (pid_ > 0) {
    killed_ = trees_of({pid_}).front();
    std::erase_if(killed_,
                  [this](const ProcessIdentity& one) { return ::getpgid(static_cast<pid_t>(one.pid)) != pid_; });
    ::kill(-static_cast<pid_t>(pid_), SIGKILL);
  }
  look_soon();
}

/// What it left behind in its process group goes with it, and before its number is free for others.
void NodeScript::reap() {
  const auto pid = static_cast<pid_t>(pid_);
  siginfo_t ended{};
  if (pid_ < 0 || ::waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOHANG | WNOWAIT) != 0 ||
      ended.si_pid != pid)
    return;
  ::kill(-pid, SIGKILL);
  ::waitpid(pid, &status_, 0);
  pid_ = -1;
  process_watch_.reset();
}

void NodeScript::read_output() {
  char buffer[4096];
  while (true) {
    const ssize_t got = ::read(output_, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got == 0) output_watch_.reset();
    if (got <= 0) return;
    tail_.append(buffer, static_cast<std::size_t>(got));
    if (tail_.size() > tail_bytes) tail_.erase(0, tail_.size() - tail_bytes);
  }
}

std::string NodeScript::problem_of_its_own() const {
  if (WIFSIGNALED(status_)) return "was ended by signal " + std::to_string(WTERMSIG(status_)) + last_line();
  if (WEXITSTATUS(status_) != 0) return "exited with code " + std::to_string(WEXITSTATUS(status_)) + last_line();
  return "";
}

void NodeScript::end_with(const std::string& problem) {
  process_watch_.reset();
  output_watch_.reset();
  deadline_timer_.reset();
  const OnEnd on_end = std::move(on_end_);
  on_end_ = nullptr;
  const auto ended = std::move(look_timer_);
  on_end(problem);
}

std::string NodeScript::last_line() const {
  std::size_t end = tail_.find_last_not_of("\r\n \t");
  if (end == std::string::npos) return "";
  const std::size_t begin = tail_.rfind('\n', end);
  return ": " + clean_text(tail_.substr(begin == std::string::npos ? 0 : begin + 1, end - (begin == std::string::npos ? 0 : begin + 1) + 1), 200);
}

}  // namespace ultramarine::launcher
