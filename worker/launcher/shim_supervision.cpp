// The shim's processes: how each rank ended, who failed first, and how everything is stopped.
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "worker/launcher/log_tail.h"
#include "worker/launcher/process_tree.h"
#include "worker/launcher/shim.h"
#include "worker/launcher/wall_clock.h"

namespace ultramarine::launcher {
namespace {

constexpr Duration failure_grace_max{5'000};
constexpr auto kill_interval = std::chrono::milliseconds(20);
constexpr auto abort_wait = std::chrono::milliseconds(1000);

std::int64_t milliseconds_of(const timeval& time) { return std::int64_t{time.tv_sec} * 1000 + time.tv_usec / 1000; }

std::string signal_name(int signal) {
  const char* const short_name = ::sigabbrev_np(signal);
  if (short_name == nullptr) return "signal " + std::to_string(signal);
  return "SIG" + std::string(short_name) + " (" + ::sigdescr_np(signal) + ")";
}

}  // namespace

void Shim::on_signal(int signal) {
  if (signal == SIGCHLD) return reap();
  spdlog::info("told to stop by {}", signal_name(signal));
  if (phase_ == GangPhase::finished) return leave();  // it only stayed for the other nodes
  stop(Outcome::cancelled, launch_.spec.stop_grace_ms);
}

void Shim::reap() {
  bool none_left = false;
  std::vector<Rank*> just_ended;
  while (true) {
    int status = 0;
    rusage usage{};
    const pid_t pid = ::wait4(-1, &status, WNOHANG, &usage);
    if (pid < 0 && errno == EINTR) continue;
    none_left = pid < 0 && errno == ECHILD;
    if (pid <= 0) break;
    const auto rank = std::find_if(ranks_.begin(), ranks_.end(), [&](const Rank& one) { return one.pid == pid && !one.ended; });
    if (rank == ranks_.end()) continue;  // an orphan that came to us
    record_end(*rank, status, usage.ru_maxrss, {milliseconds_of(usage.ru_utime) + milliseconds_of(usage.ru_stime)});
    just_ended.push_back(&*rank);
  }
  if (ranks_.empty() || phase_ == GangPhase::finished) return;
  for (Rank* rank : just_ended) {
    if (rank->result.exit_code != 0 || rank->result.signal != 0) note_failure(*rank);
    if (aborting_rank_ == rank->place.rank) stop(Outcome::failed, failure_grace());
  }
  const bool all_ended = std::all_of(ranks_.begin(), ranks_.end(), [](const Rank& rank) { return rank.ended; });
  if (none_left) {
    finish();
  } else if (all_ended && phase_ == GangPhase::running) {
    // The ranks are done but left processes behind, which would hold the devices.
    stop(Outcome::succeeded, failure_grace());
  }
}

void Shim::record_end(Rank& rank, int status, std::int64_t memory_kib, Duration cpu_time) {
  rank.ended = true;
  RankResult& result = rank.result;
  result.rank = rank.place.rank;
  result.node = launch_.node;
  result.pid = rank.pid;
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  result.peak_memory_bytes = memory_kib * 1024;
  result.cpu_time_ms = cpu_time;
  result.ended_ms = wall_clock_now();
  if (launch_.virtual_devices) {
    const auto wall = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - started_).count();
    result.device_utilization_permille = std::min<std::int64_t>(1000, cpu_time.ms * 1000 / std::max<std::int64_t>(1, wall));
  }
}

/// The first rank that fails while nobody wants it to end is the reason why all others end.
void Shim::note_failure(Rank& rank) {
  if (outcome_ || phase_ != GangPhase::running) return;
  const RankResult& result = rank.result;
  const std::string who = "rank " + std::to_string(result.rank) + " on " + launch_.node;
  Outcome outcome = Outcome::failed;
  std::string detail;
  if (result.signal == SIGKILL) {
    const auto kills = out_of_memory_kills();
    if (kills && memory_kills_before_ && *kills > *memory_kills_before_) {
      outcome = Outcome::out_of_memory;
      detail = who + " was killed for lack of memory at " + std::to_string(result.peak_memory_bytes >> 20) + " MiB";
    } else {
      detail = who + " was killed by SIGKILL, by somebody else or for lack of memory on the node";
    }
  } else if (result.signal != 0) {
    detail = who + " was ended by " + signal_name(static_cast<int>(result.signal));
  } else {
    detail = who + " exited with code " + std::to_string(result.exit_code);
  }
  outcome_ = outcome;
  failure_ = Failure{.rank = result.rank,
                     .node = launch_.node,
                     .exit_code = result.exit_code,
                     .signal = result.signal,
                     .detail = detail,
                     .last_lines = last_output(folder_.output(result.rank), folder_.error(result.rank)),
                     .at_ms = result.ended_ms};
  spdlog::info("{}", detail);
  stop(outcome, failure_grace());
}

void Shim::on_abort(std::int64_t rank, std::int64_t status, const std::string& message) {
  if (outcome_ || phase_ != GangPhase::running) return;
  std::string detail = "rank " + std::to_string(rank) + " on " + launch_.node + " called MPI_Abort with code " + std::to_string(status);
  if (const std::string said = clean_text(message, 200); !said.empty() && said != "N/A") detail += ": " + said;
  outcome_ = Outcome::failed;
  failure_ = Failure{.rank = rank,
                     .node = launch_.node,
                     .exit_code = status,
                     .detail = detail,
                     .last_lines = last_output(folder_.output(rank), folder_.error(rank)),
                     .at_ms = wall_clock_now()};
  spdlog::info("{}", detail);
  publish();
  // It is about to exit by itself, with its own code: let it, and stop the others then.
  aborting_rank_ = rank;
  abort_timer_ = loop_.after(abort_wait, [this] { stop(Outcome::failed, failure_grace()); });
}

void Shim::arm_time_limit() {
  const Duration left = launch_.time_left_ms.ms > 0 ? launch_.time_left_ms : launch_.spec.time_limit_ms;
  if (left.ms <= 0) return;
  time_limit_ = loop_.after(std::chrono::milliseconds(left.ms), [this] {
    spdlog::info("time limit reached");
    stop(Outcome::timed_out, launch_.spec.stop_grace_ms);
  });
  arm_warning(left);
}

/// Slurm's --signal: meant for the gangs' processes (of a plain job: its own), or with `shell` for the script alone.
void Shim::arm_warning(Duration left) {
  const auto& warning = launch_.spec.warning;
  if (!warning || warning->signal <= 0) return;
  const bool is_script = launch_.kind == protocol::LaunchKind::script;
  const bool in_script = is_script || key_.gang > 1;
  if (in_script && warning->shell != is_script) return;
  const std::int64_t delay = left.ms - warning->before_ms.ms;
  if (delay <= 0) {
    // A gang that starts after the warning was due has had it from its script. A program that is just starting would only be ended by it.
    spdlog::warn("no warning signal: it would be due before the start");
    return;
  }
  warning_ = loop_.after(std::chrono::milliseconds(delay), [this, signal = static_cast<int>(warning->signal)] { warn(signal); });
}

void Shim::warn(int signal) {
  if (phase_ != GangPhase::running) return;
  spdlog::info("warning: {}", signal_name(signal));
  if (launch_.kind == protocol::LaunchKind::script) {
    const auto shell = ranks_.empty() || ranks_.front().ended ? std::nullopt : identify(ranks_.front().pid);
    if (shell) send_signal(*shell, signal);
    return;
  }
  // All of them, as in Slurm: a rank is often a shell around the program that is meant.
  for (const ProcessIdentity& process : descendants_of(::getpid())) send_signal(process, signal);
}

Duration Shim::failure_grace() const { return std::min(launch_.spec.stop_grace_ms, failure_grace_max); }

/// SIGTERM to every process of the gang now, SIGKILL after `grace`. The first reason stays; a later call can only shorten the grace.
void Shim::stop(Outcome outcome, Duration grace) {
  if (phase_ == GangPhase::finished) return;
  if (!outcome_) outcome_ = outcome;
  if (ranks_.empty()) return finish();
  const auto kill_at = std::chrono::steady_clock::now() + std::chrono::milliseconds(std::max<std::int64_t>(0, grace.ms));
  const bool first = phase_ != GangPhase::stopping;
  if (!first && kill_at >= kill_at_) return;
  kill_at_ = kill_at;
  phase_ = GangPhase::stopping;
  time_limit_.reset();
  warning_.reset();
  abort_timer_.reset();
  if (first && grace.ms > 0) {
    for (const ProcessIdentity& process : descendants_of(::getpid())) {
      send_signal(process, SIGTERM);
      send_signal(process, SIGCONT);  // a stopped process could not act on it
    }
  }
  if (grace.ms <= 0) {
    kill_everything();
  } else if (!killing_) {
    kill_timer_ = loop_.after(std::chrono::milliseconds(grace.ms), [this] { kill_everything(); });
  }
  if (first) publish();
}

/// Kills the whole tree, again and again: what forks faster than we look is met by the next pass. `reap` says when nothing is left.
void Shim::kill_everything() {
  constexpr int passes_max = 16;
  killing_ = true;
  for (int pass = 0; pass < passes_max; ++pass) {
    const auto processes = descendants_of(::getpid());
    if (processes.empty()) break;
    for (const ProcessIdentity& process : processes) send_signal(process, SIGKILL);
  }
  kill_timer_ = loop_.after(kill_interval, [this] { kill_everything(); });
}

}  // namespace ultramarine::launcher
