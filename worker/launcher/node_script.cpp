#include "worker/launcher/node_script.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "worker/launcher/log_tail.h"
#include "worker/launcher/process_start.h"

namespace ultramarine::launcher {
namespace {

constexpr std::size_t tail_bytes = 4096;

std::string in_seconds(std::chrono::milliseconds time) {
  const auto ms = time.count();
  return ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms";
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
    timer_ = loop_.after(std::chrono::milliseconds(0), [this, why = std::string(std::strerror(result.error_number))] { end_with("can't be run: " + why); });
    return;
  }
  pid_ = result.pid;
  if (const auto identity = identify(pid_)) process_ = open_process(*identity);
  output_watch_ = loop_.on_readable(output_, [this] { read_output(); });
  if (process_ >= 0) process_watch_ = loop_.on_readable(process_, [this] { ended(); });
  else timer_ = loop_.after(std::chrono::milliseconds(0), [this] { ended(); });
  if (process_ < 0) return;
  timer_ = loop_.after(deadline_, [this] {
    too_late_ = true;
    ::kill(-static_cast<pid_t>(pid_), SIGKILL);
  });
}

NodeScript::~NodeScript() {
  output_watch_.reset();
  process_watch_.reset();
  if (pid_ > 0) {
    ::kill(-static_cast<pid_t>(pid_), SIGKILL);
    while (::waitpid(static_cast<pid_t>(pid_), nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  if (process_ >= 0) ::close(process_);
  if (output_ >= 0) ::close(output_);
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

void NodeScript::ended() {
  int status = 0;
  const pid_t got = ::waitpid(static_cast<pid_t>(pid_), &status, WNOHANG);
  if (got == 0) return;
  ::kill(-static_cast<pid_t>(pid_), SIGKILL);  // what it left behind in its process group
  pid_ = -1;
  read_output();
  if (too_late_) return end_with("did not end within " + in_seconds(deadline_) + " and was killed" + last_line());
  if (WIFSIGNALED(status)) return end_with("was ended by signal " + std::to_string(WTERMSIG(status)) + last_line());
  if (WEXITSTATUS(status) != 0) return end_with("exited with code " + std::to_string(WEXITSTATUS(status)) + last_line());
  end_with("");
}

/// Whoever is told may destroy this object.
void NodeScript::end_with(std::string problem) {
  process_watch_.reset();
  output_watch_.reset();
  const OnEnd on_end = std::move(on_end_);
  const auto ended = std::move(timer_);
  on_end(problem);
}

std::string NodeScript::last_line() const {
  std::size_t end = tail_.find_last_not_of("\r\n \t");
  if (end == std::string::npos) return "";
  const std::size_t begin = tail_.rfind('\n', end);
  return ": " + clean_text(tail_.substr(begin == std::string::npos ? 0 : begin + 1, end - (begin == std::string::npos ? 0 : begin + 1) + 1), 200);
}

}  // namespace ultramarine::launcher
