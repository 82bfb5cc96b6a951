// See world.h.
#include "scheduler/simulator/world.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <utility>

#include "scheduler/core/scheduler.h"

namespace ultramarine::simulator {
namespace {

constexpr std::int64_t first_uid = 1000;
constexpr Duration patience{366 * 86'400'000LL};  // with a scheduler that keeps looking and chooses nothing, while nothing runs or arrives

/// What the scheduler is told.
Duration time_limit(const TraceJob& row, Estimate estimate) {
  const std::int64_t length_s = estimate == Estimate::limit ? row.limit_s.value_or(row.runtime_s) : row.runtime_s;
  return seconds(std::max<std::int64_t>(length_s, 1));
}

/// The cluster with the accounts of the trace in it. Partitions and QOS that it doesn't have are taken out of the rows.
class Adapted {
 public:
  Adapted(const Trace& trace, ClusterConfig given, Estimate estimate) : cluster(std::move(given)), rows(trace.jobs) {
    Duration longest{0};
    for (const TraceJob& row : rows) longest = std::max(longest, time_limit(row, estimate));
    for (PartitionConfig& partition : cluster.partitions) partition.max_time_ms = std::max(partition.max_time_ms, longest);
    std::set<std::string> partitions, qos{"normal"}, unknown_partitions, unknown_qos;
    for (const PartitionConfig& partition : cluster.partitions) partitions.insert(partition.name);
    for (const QosConfig& level : cluster.qos) qos.insert(level.name);
    const auto forget_unknown = [](std::string& name, const std::set<std::string>& known, std::set<std::string>& unknown) {
      if (name.empty() || known.count(name)) return;
      unknown.insert(name);
      name.clear();
    };
    for (TraceJob& row : rows) {
      forget_unknown(row.partition, partitions, unknown_partitions);
      forget_unknown(row.qos, qos, unknown_qos);
      if (!row.account.empty()) open(row.account);
    }
    const auto note = [&](const std::set<std::string>& names, const std::string& what, const std::string& then) {
      if (names.empty()) return;
      std::string text = "the cluster has no " + what + " ";
      const char* separator = "";
      for (const std::string& name : names) text += std::exchange(separator, ", ") + name;
      notes.push_back(text + ": " + then);
    };
    note(unknown_partitions, "partition", "its first one is used");
    note(unknown_qos, "QOS", "normal is used");
    note(added_, "account", "added, with one share each");
  }

  ClusterConfig cluster;
  std::vector<TraceJob> rows;
  std::vector<std::string> notes;

 private:
  void open(const std::string& name) {
    if (!opened_.insert(name).second) return;
    const auto known = std::find_if(cluster.accounts.begin(), cluster.accounts.end(), [&](const AccountConfig& account) { return account.name == name; });
    if (known == cluster.accounts.end()) {
      cluster.accounts.push_back({.name = name, .members = {"*"}});
      added_.insert(name);
    } else {
      known->members.push_back("*");
    }
  }

  std::set<std::string> opened_, added_;
};

std::int64_t gpus_of(const Allocation& allocation) {
  std::int64_t gpus = 0;
  for (const NodeAllocation& on_node : allocation) gpus += static_cast<std::int64_t>(on_node.devices.size());
  return gpus;
}

/// The month of UTC that an instant lies in.
PeriodStarted month_of(Time now) {
  namespace chrono = std::chrono;
  const auto day = chrono::floor<chrono::days>(chrono::sys_time<chrono::milliseconds>(chrono::milliseconds(now.ms)));
  const chrono::year_month month = chrono::year_month_day(day).year() / chrono::year_month_day(day).month();
  const auto start_of = [](chrono::year_month which) {
    return Time{} + hours(24 * static_cast<std::int64_t>(chrono::sys_days(which / 1).time_since_epoch().count()));
  };
  return {start_of(month), start_of(month + chrono::months(1)), {}};
}

bool counts_months(const ClusterConfig& cluster) {
  const auto any = [](const auto& list) {
    return std::any_of(list.begin(), list.end(),
                       [](const auto& entry) { return entry.limits.gpu_hours_per_month.has_value() || entry.user_limits.gpu_hours_per_month.has_value(); });
  };
  return any(cluster.accounts) || any(cluster.qos) || any(cluster.partitions);
}

class World {
 public:
  World(const Trace& trace, ClusterConfig cluster, const PolicyConfig& policy, Estimate estimate, const Progress& progress, Slips slips, Waits waits)
      : adapted_(trace, std::move(cluster), estimate), estimate_(estimate), progress_(progress), counts_months_(counts_months(adapted_.cluster)) {
    if (slips == Slips::counted) {
      slips_.emplace();
      for (std::size_t cause = 0; cause < core::slip_causes; ++cause) replay_.slips.push_back({static_cast<core::SlipCause>(cause), 0, {}});
    }
    if (waits == Waits::kept) waits_.emplace();
    now_ = adapted_.rows.empty() ? Time{} : arrival(adapted_.rows.front());
    replay_.notes = adapted_.notes;
    apply(ClusterConfigured{adapted_.cluster, {}});
    apply(PolicyChanged{policy, {}});
    for (const NodeConfig& node : adapted_.cluster.nodes) {
      replay_.cluster_gpus += node.gpus;
      apply(NodeJoined{.node = node.name, .boot_id = "simulated"});
    }
    policy_hash_ = scheduler_.policy_hash();
  }

  Replay run() && {
    while (const auto next = next_instant()) {
      now_ = *next;
      if (counts_months_ && now_ >= month_end_) start_month();
      touched_.clear();
      end_jobs();
      submit_jobs();
      while (hold_round()) {
      }
      settle_instant();
    }
    if (waits_) keep_waits();
    return std::move(replay_);
  }

 private:
  struct Run {
    Duration remaining;          // at `since`, with all its GPUs
    std::optional<Time> since;   // it runs from then on
    bool ran_before = false;     // this instant
    std::int64_t gpus = 0;       // that it asked for
    std::int64_t held = 0;       // that it has
    bool fails = false;          // when nothing remains
    bool is_trial = false;
    Time until;                  // it runs for so long, if nobody stops it,
    Outcome ends = Outcome::succeeded;  // ... and ends so
  };

  void apply(const Entry& entry) {
    if (waits_)
      if (const auto look = waits_->looks_at(); look && *look < now_) waits_->on_plan(scheduler_.state(), scheduler_.plan(*look));
    scheduler_.apply(now_, entry);
    if (slips_) slips_->on_entry(entry, scheduler_.state());
    if (waits_) waits_->on_entry(now_, entry, scheduler_.state());
  }

  /// Of those that never ran: until now.
  void keep_waits() {
    for (std::size_t index = 0; index < replay_.jobs.size(); ++index) {
      const JobId job{static_cast<std::int64_t>(index) + 1};
      const auto over = waits_->finished().find(job);
      replay_.waits.push_back(over == waits_->finished().end() ? waits_->parts_of(job, now_) : over->second.parts);
    }
  }

  /// After each event, so that each slip has one cause: after all ends of an instant, after each arrival, after the choice and after its starts.
  /// (Between two ends of one instant a job would seem to be overdue that isn't.)
  void look_at_plan() {
    if (!slips_) return;
    for (const core::Slip& slip : slips_->on_plan(scheduler_.state(), scheduler_.plan(now_))) {
      SlipsOfCause& counted = replay_.slips[static_cast<std::size_t>(slip.cause)];
      ++counted.slips;
      counted.later = counted.later + slip.later;
    }
  }

  static Time arrival(const TraceJob& row) { return Time{} + seconds(row.submit_s); }

  std::optional<Time> next_instant() {
    std::optional<Time> next;
    const auto consider = [&](Time time) {
      if (!next || time < *next) next = time;
    };
    if (next_row_ < adapted_.rows.size()) consider(arrival(adapted_.rows[next_row_]));
    if (!ends_.empty()) consider(ends_.begin()->first);
    if (next) last_event_ = *next;
    if (const auto wakeup = scheduler_.next_wakeup(now_); wakeup && *wakeup > now_ && *wakeup < last_event_ + patience) consider(*wakeup);
    return next;
  }

  void start_month() {
    const PeriodStarted month = month_of(now_);
    month_end_ = month.end_ms;
    apply(month);
    look_at_plan();
  }

  void end_jobs() {
    while (!ends_.empty() && ends_.begin()->first == now_) {
      const JobId job = ends_.begin()->second;
      const Run ended = run_of(job);
      give_back(job, ended.ends);
      if (ended.ends == Outcome::timed_out) continue;  // it waits again
      JobOutcome& result = outcome(job);
      result.end = now_;
      result.failed = ended.ends == Outcome::failed;
      if (ended.is_trial) result.first_start = ended.since;
      ++ended_;
      if (progress_) progress_(ended_);
    }
    look_at_plan();
  }

  void submit_jobs() {
    for (; next_row_ < adapted_.rows.size() && arrival(adapted_.rows[next_row_]) == now_; ++next_row_) submit(next_row_);
  }

  void submit(std::size_t index) {
    const TraceJob& row = adapted_.rows[index];
    JobSpec spec;
    spec.name = "trace";
    spec.command = {"trace"};
    spec.working_directory = "/";
    spec.account = row.account;
    spec.partition = row.partition;
    spec.qos = row.qos;
    spec.resources.gpus = row.gpus;
    spec.nice = row.nice;
    spec.stop_grace_ms = {};
    spec.time_limit_ms = time_limit(row, estimate_);
    const Actor actor{uid_of(row.user), row.user, "simulator"};
    auto answer = scheduler_.accept(std::move(spec), actor);
    if (const auto* refusal = std::get_if<core::Refusal>(&answer)) {
      replay_.refused.push_back({index, refusal->field + ": " + refusal->problem});
      return;
    }
    const JobId job{scheduler_.state().next_job};
    apply(JobSubmitted{.job = job, .spec = std::get<core::Accepted>(std::move(answer)).spec, .actor = actor});
    look_at_plan();
    runs_.push_back({.remaining = seconds(run_s(row)), .gpus = row.gpus, .fails = row.fails_after_s.has_value()});
    replay_.jobs.push_back({.row = index});
    ++waiting_;
  }

  std::int64_t uid_of(const std::string& user) {
    return uids_.try_emplace(user, first_uid + static_cast<std::int64_t>(uids_.size())).first->second;
  }

  /// One round. True when devices were given back in it, so that more can be chosen.
  bool hold_round() {
    std::vector<Decision> decisions = scheduler_.decide(now_);
    if (decisions.empty()) return false;
    apply(Round{now_, core::planner_version, policy_hash_, decisions});
    look_at_plan();
    bool given_back = false;
    for (const Decision& decision : decisions) {
      if (const auto* start = std::get_if<StartJob>(&decision)) {
        begin(*start);
      } else if (const auto* preempt = std::get_if<PreemptJob>(&decision)) {
        give_back(preempt->job, Outcome::preempted);
        given_back = true;
      } else if (const auto* reject = std::get_if<RejectJob>(&decision)) {
        replay_.refused.push_back({outcome(reject->job).row, reject->detail});
        --waiting_;
      }
    }
    look_at_plan();
    return given_back;
  }

  void begin(const StartJob& start) {
    apply(GangStarted{.job = start.job, .attempt = start.attempt});
    Run& started = touch(start.job);
    started.since = now_;
    started.is_trial = start.trial_ms.has_value();
    started.held = started.is_trial ? gpus_of(start.allocation) : started.gpus;
    // A typo shows at once; all else takes as many times as long as there are fewer GPUs.
    const Duration length{started.fails ? started.remaining.ms : started.remaining.ms * started.gpus / started.held};
    const bool is_cut = started.is_trial && *start.trial_ms < length;
    started.until = now_ + (is_cut ? *start.trial_ms : length);
    started.ends = is_cut ? Outcome::timed_out : started.fails ? Outcome::failed : Outcome::succeeded;
    ends_.emplace(started.until, start.job);
    gpus_ += started.held;
    --waiting_;
    JobOutcome& result = outcome(start.job);
    result.nodes = static_cast<std::int64_t>(start.allocation.size());
    result.attempts = start.attempt;
  }

  /// The job's processes are gone, because it is done or because it yields.
  void give_back(JobId job, Outcome how) {
    Run& running = touch(job);
    ends_.erase({running.until, job});
    const Duration ran = now_ - *running.since;
    if (running.is_trial) running.ran_before = false;  // to end it is not to stop the job
    else running.remaining.ms -= ran.ms;
    if (how == Outcome::failed || how == Outcome::timed_out) outcome(job).wasted_gpu_ms += running.held * ran.ms;
    running.since.reset();
    gpus_ -= running.held;
    if (how == Outcome::preempted || how == Outcome::timed_out) ++waiting_;
    const std::int64_t attempt = outcome(job).attempts;
    apply(GangFinished{.job = job, .attempt = attempt, .outcome = how});
    apply(AttemptEnded{.job = job, .attempt = attempt, .outcome = how});
  }

  /// Only what is true at the end of an instant counts: a job that is moved to other devices never stopped running.
  void settle_instant() {
    for (const JobId job : touched_) {
      Run& changed = run_of(job);
      JobOutcome& result = outcome(job);
      if (changed.since && !result.first_output) result.first_output = now_;
      if (changed.since && changed.is_trial) result.tried = true;
      else if (changed.since && !result.first_start) result.first_start = now_;
      if (changed.ran_before && !changed.since && !result.end) ++result.preemptions;
      changed.ran_before = changed.since && !changed.is_trial;
    }
    if (!replay_.load.empty() && replay_.load.back().at == now_) replay_.load.pop_back();
    if (replay_.load.empty() || replay_.load.back().gpus != gpus_ || replay_.load.back().waiting != waiting_) replay_.load.push_back({now_, gpus_, waiting_});
  }

  Run& touch(JobId job) {
    touched_.push_back(job);
    return run_of(job);
  }
  Run& run_of(JobId job) { return runs_[static_cast<std::size_t>(job.value - 1)]; }
  JobOutcome& outcome(JobId job) { return replay_.jobs[static_cast<std::size_t>(job.value - 1)]; }

  const Adapted adapted_;
  const Estimate estimate_;
  const Progress& progress_;
  const bool counts_months_;
  core::Scheduler scheduler_;
  std::string policy_hash_;
  Time now_, month_end_;
  Time last_event_;  // the latest known end or arrival
  std::size_t next_row_ = 0, ended_ = 0;
  std::vector<Run> runs_;                   // by job number
  std::set<std::pair<Time, JobId>> ends_;   // of running jobs
  std::vector<JobId> touched_;              // that started or stopped in this instant, some more than once
  std::int64_t gpus_ = 0, waiting_ = 0;
  std::map<std::string, std::int64_t> uids_;
  std::optional<core::SlipCounter> slips_;
  std::optional<core::WaitLedger> waits_;
  Replay replay_;
};

}  // namespace

Replay replay(const Trace& trace, ClusterConfig cluster, const PolicyConfig& policy, Estimate estimate, const Progress& progress, Slips slips,
              Waits waits) {
  return World(trace, std::move(cluster), policy, estimate, progress, slips, waits).run();
}

}  // namespace ultramarine::simulator
