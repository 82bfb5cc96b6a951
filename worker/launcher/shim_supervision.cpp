// The shim's processes: how each rank ended, who failed first, and how everything is stopped.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "worker/launcher/containment/containment.h"
#include "worker/launcher/log_tail.h"
#include "worker/launcher/process_tree.h"
#include "worker/launcher/shim.h"
#include "worker/launcher/shim_log.h"
#include "worker/launcher/wall_clock.h"

namespace ultramarine::launcher {
namespace {

constexpr auto kill_interval = std::chrono::milliseconds(20);
constexpr auto abort_wait = std::chrono::milliseconds(1000);
constexpr auto memory_interval = std::chrono::seconds(5);

std::int64_t milliseconds_of(const timeval& time) { return std::int64_t{time.tv_sec} * 1000 + time.tv_usec / 1000; }

std::string mebibytes(std::int64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

std::string signal_name(int signal) {
  const char* const short_name = ::sigabbrev_np(signal);
  if (short_name == nullptr) return "signal " + std::to_string(signal);
  return "SIG" + std::string(short_name) + " (" + ::sigdescr_np(signal) + ")";
}

}  // namespace

void Shim::on_signal(int signal) {
  if (signal == SIGCHLD) return reap();
  shim_log::info("told to stop by " + signal_name(signal));
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
  // Of those that ended together, one that was ended by a signal hardly followed one that exited.
  std::stable_partition(just_ended.begin(), just_ended.end(),
                        [](const Rank* rank) { return rank->result.signal != 0; });
  for (Rank* rank : just_ended) {
    if (rank->result.exit_code != 0 || rank->result.signal != 0) note_failure(*rank);
    else if (rank->in_mpi && layout_.world_size() > 1) ask_later_for_finalize();
    if (aborting_rank_ == rank->place.rank) stop(Outcome::failed, failure_grace());
  }
  const bool all_ended = std::all_of(ranks_.begin(), ranks_.end(), [](const Rank& rank) { return rank.ended; });
  if (awaits_finalize()) return;
  if (none_left) {
    finish();
  } else if (all_ended && phase_ == GangPhase::running) {
    // The ranks are done but left processes behind, which would hold the devices.
    stop(Outcome::succeeded, failure_grace());
  }
}

/// The others of an MPI gang would wait for ever for one that left without MPI_Finalize. Its call may come to us later than its end: on a busy node
/// the library lets the rank go before anybody has heard of it.
void Shim::ask_later_for_finalize() {
  if (finalize_over_) return;
  finalize_wait_ = loop_.after(std::chrono::milliseconds(launch_.timeouts.finalize_ms.ms), [this] {
    for (Rank& rank : ranks_)
      if (rank.ended && rank.in_mpi) note_failure(rank);
    finalize_over_ = true;
    reap();  // the last one may be gone already
  });
}

bool Shim::awaits_finalize() const {
  return finalize_wait_ && !finalize_over_ && phase_ == GangPhase::running &&
         std::any_of(ranks_.begin(), ranks_.end(), [](const Rank& rank) { return rank.ended && rank.in_mpi; });
}

/// A rank has called MPI_Init, or MPI_Finalize.
void Shim::on_mpi_presence(std::int64_t number, bool is_in) {
  const bool awaited = awaits_finalize();
  for (Rank& rank : ranks_)
    if (rank.place.rank == number) rank.in_mpi = is_in;
  if (awaited && !awaits_finalize()) reap();
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
  const auto memory = own_memory();
  const bool kernel_killed = memory && memory_kills_.are_recent(memory->kills, std::chrono::steady_clock::now());
  // In a group of our own the kernel's victim is ours, be it the rank or a process that it waited for.
  if (kernel_killed && (result.signal == SIGKILL || settings_.contained)) {
    outcome = Outcome::out_of_memory;
    detail = who + (result.signal == SIGKILL ? " was killed for lack of memory" : " failed after the kernel had killed a process for lack of memory");
    if (memory->limit_bytes > 0) {
      const std::string peak = memory->peak_bytes > 0 ? " there and its peak was " + mebibytes(memory->peak_bytes) : " there";  // Linux before 5.19 doesn't say
      detail += ": the job may use " + mebibytes(memory->limit_bytes) + peak + "; ask for more with --mem-per-gpu";
    } else {
      detail += " at " + mebibytes(result.peak_memory_bytes);
    }
  } else if (result.signal == SIGKILL) {
    detail = who + " was killed by SIGKILL, by somebody else or for lack of memory on the node";
  } else if (result.signal != 0) {
    detail = who + " was ended by " + signal_name(static_cast<int>(result.signal));
  } else {
    detail = who + " exited with code " + std::to_string(result.exit_code);
    if (result.exit_code == 0) detail += " without calling MPI_Finalize";
  }
  outcome_ = outcome;
  failure_ = Failure{.rank = result.rank,
                     .node = launch_.node,
                     .exit_code = result.exit_code,
                     .signal = result.signal,
                     .detail = detail,
                     .last_lines = last_output(folder_.output(result.rank), folder_.error(result.rank)),
                     .at_ms = result.ended_ms};
  shim_log::info(detail);
  stop(outcome, failure_grace());
}

void Shim::watch_memory() {
  const auto kills = own_memory_kills();
  if (!kills) return;  // nobody counts them here
  memory_kills_.look(*kills, std::chrono::steady_clock::now());
  memory_timer_ = loop_.after(memory_interval, [this] { watch_memory(); });
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
  shim_log::info(detail);
  publish();
  // It is about to exit by itself, with its own code: let it, and stop the others then.
  aborting_rank_ = rank;
  abort_timer_ = loop_.after(abort_wait, [this] { stop(Outcome::failed, failure_grace()); });
}

void Shim::arm_time_limit() {
  ranks_since_ = std::chrono::steady_clock::now();
  allowed_ = launch_.time_left_ms.ms > 0 ? launch_.time_left_ms : launch_.spec.time_limit_ms;
  if (allowed_.ms > 0) arm_time_limit(allowed_);
}

/// Somebody gave it more time, or less.
void Shim::allow(Duration time) {
  if (phase_ != GangPhase::running || time == allowed_ || !time_limit_) return;
  shim_log::info("its time limit is another");
  allowed_ = time;
  const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - ranks_since_);
  warning_.reset();
  arm_time_limit({std::max<std::int64_t>(time.ms - passed.count(), 1)});
}

void Shim::arm_time_limit(Duration left) {
  time_limit_ = loop_.after(std::chrono::milliseconds(left.ms), [this] {
    shim_log::info("time limit reached");
    stop(Outcome::timed_out, launch_.spec.stop_grace_ms);
  });
  arm_warning(left);
}

/// A part of a gang over several nodes that is cut off from the scheduler, and gets no further, ends itself: the gang is broken, and elsewhere
/// it may already run again. Ranks that get further are never stopped for want of a scheduler, and those that report nothing aren't judged. A job on
/// one node may ask to be stopped whatever it does (stop_when_cut_off): then it runs again elsewhere.
void Shim::arm_self_stop() {
  if (launch_.self_stop_ms.ms <= 0) return;
  lease_ = std::chrono::steady_clock::now();
  if (launch_.spec.stop_when_cut_off_ms.ms > 0) promised_ = kept_ = std::chrono::milliseconds(launch_.self_stop_ms.ms);
  self_stop_ = loop_.after(std::chrono::milliseconds(launch_.self_stop_ms.ms / 10), [this] { look_for_company(); });
}

/// What a program has shown to take its time isn't stuck: longer than its longest pauses and its longest phase.
std::chrono::milliseconds Shim::longest_patience() const {
  const ProgressCollector::Pace& pace = progress_->pace();
  return std::max({std::chrono::milliseconds(launch_.self_stop_ms.ms), 3 * pace.longest_gap, pace.longest_phase});
}

/// How long a rank waits for the scheduler's word on a checkpoint before its node gives its own: never so long that the other nodes, whose ranks
/// wait for this one, end themselves meanwhile.
std::chrono::milliseconds Shim::checkpoint_patience() const {
  std::int64_t patience = launch_.timeouts.checkpoint_answer_ms.ms;
  if (launch_.self_stop_ms.ms > 0) patience = std::min(patience, launch_.self_stop_ms.ms / 2);
  return std::chrono::milliseconds(patience);
}

/// The time counts from when the scheduler can last have heard this node, not from when its answer came. A longer promise holds once it was heard.
void Shim::take(const protocol::Lease& lease) {
  lease_ = std::max(lease_, std::chrono::steady_clock::now() - std::chrono::milliseconds(std::max<std::int64_t>(lease.age_ms.ms, 0)));
  kept_ = std::min(promised_, std::max(kept_, std::chrono::milliseconds(lease.self_stop_ms.ms)));
}

/// The scheduler waits for as long as was promised, so a promise grows only while it can be heard, and until it was heard the one before holds.
void Shim::look_for_company() {
  if (phase_ != GangPhase::running) return;
  const auto now = std::chrono::steady_clock::now();
  const std::chrono::milliseconds own(launch_.self_stop_ms.ms);
  if (launch_.spec.stop_when_cut_off_ms.ms > 0) {
    if (now - lease_ >= kept_) return end_alone();
  } else if (const auto last = progress_->pace().last) {
    const bool is_first = promised_.count() == 0;
    if (is_first) lease_ = now;
    const std::chrono::milliseconds patience = longest_patience();
    if (patience > promised_ && now - lease_ < own / 2) {
      promised_ = is_first ? patience : 2 * patience;  // seldom: each promise is reported
      if (is_first) kept_ = promised_;
      shim_log::info("cut off from the scheduler, ranks that get no further would be stopped after " + std::to_string(promised_.count()) + " ms");
      publish();
    }
    if (now - lease_ >= kept_ && now - *last >= kept_) return end_alone();
  }
  self_stop_ = loop_.after(own / 10, [this] { look_for_company(); });
}

void Shim::end_alone() {
  const std::string length = std::to_string(std::chrono::duration_cast<std::chrono::seconds>(kept_).count()) + " s";
  const std::string detail = launch_.spec.stop_when_cut_off_ms.ms > 0
                                 ? launch_.node + " has lost the scheduler for " + length + ", and the job was to stop there then"
                                 : launch_.node + " has lost the scheduler, and its ranks got no further for " + length;
  shim_log::warn(detail);
  if (!outcome_) failure_ = Failure{.node = launch_.node, .detail = detail, .node_at_fault = true, .at_ms = wall_clock_now()};
  stop(Outcome::node_lost, std::min(launch_.spec.stop_grace_ms, launch_.timeouts.cut_off_grace_ms));
}

/// Slurm's --signal: meant for the gangs' processes (of a plain job: its own), or with `shell` for the script alone.
bool Shim::hears_warnings() const {
  const auto& warning = launch_.spec.warning;
  if (!warning || warning->signal <= 0) return false;
  const bool is_script = launch_.kind == protocol::LaunchKind::script;
  return (!is_script && key_.gang == 1) || warning->shell == is_script;
}

void Shim::arm_warning(Duration left) {
  if (!hears_warnings()) return;
  const auto& warning = launch_.spec.warning;
  const std::int64_t delay = left.ms - warning->before_ms.ms;
  if (delay <= 0) {
    // A gang that starts after the warning was due has had it from its script. A program that is just starting would only be ended by it.
    shim_log::warn("no warning signal: it would be due before the start");
    return;
  }
  warning_ = loop_.after(std::chrono::milliseconds(delay), [this, signal = static_cast<int>(warning->signal)] { warn(signal); });
}

void Shim::warn(int signal) {
  if (phase_ != GangPhase::running) return;
  shim_log::info("warning: " + signal_name(signal));
  if (launch_.kind == protocol::LaunchKind::script) {
    const auto shell = ranks_.empty() || ranks_.front().ended ? std::nullopt : identify(ranks_.front().pid);
    if (shell) send_signal(*shell, signal);
    return;
  }
  // All of them, as in Slurm: a rank is often a shell around the program that is meant.
  for (const ProcessIdentity& process : descendants_of(::getpid())) send_signal(process, signal);
}

/// A gang that is being stopped is not judged for standing still. Ranks that have ended well may be missed by the others.
std::vector<HangWatch::RankProcess> Shim::judged_ranks() const {
  std::vector<HangWatch::RankProcess> processes;
  if (phase_ != GangPhase::running) return processes;
  for (const Rank& rank : ranks_)
    if (!rank.ended) processes.push_back({rank.place.rank, rank.pid});
  return processes;
}

Duration Shim::failure_grace() const { return std::min(launch_.spec.stop_grace_ms, launch_.timeouts.failure_grace_ms); }

/// A program that is to run again is asked for a checkpoint by its own signal. SIGTERM once we hear that it has saved one (a second word, without
/// signal), or half of the grace is over.
void Shim::stop_after_checkpoint(int signal, Duration grace) {
  const bool asks = phase_ == GangPhase::running && signal > 0 && signal != SIGTERM && grace.ms > 0;
  if (asks) {
    shim_log::info("asked for a checkpoint: " + signal_name(signal));
    checkpoint_wait_ = loop_.after(std::chrono::milliseconds(grace.ms / 2), [this] { terminate(); });
    if (progress_) progress_->asked_to_stop();
    if (hears_warnings()) warn(signal);
  } else if (signal == 0 && checkpoint_wait_) {
    terminate();
  }
  stop(Outcome::cancelled, grace);
}

/// SIGTERM to every process of the gang.
void Shim::terminate() {
  checkpoint_wait_.reset();
  if (phase_ != GangPhase::stopping || killing_) return;
  for (const ProcessIdentity& process : descendants_of(::getpid())) {
    send_signal(process, SIGTERM);
    if (terminal_) send_signal(process, SIGHUP);  // interactive shells ignore SIGTERM
    send_signal(process, SIGCONT);  // a stopped process could not act on it
  }
}

/// SIGTERM to every process of the gang now (unless a checkpoint is waited for), SIGKILL after `grace`. The first reason stays; a later call can
/// only shorten the grace.
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
  self_stop_.reset();
  abort_timer_.reset();
  if (first && progress_) progress_->asked_to_stop();
  if (first && grace.ms > 0 && !checkpoint_wait_) terminate();
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
