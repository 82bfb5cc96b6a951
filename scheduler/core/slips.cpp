// See slips.h.
#include "scheduler/core/slips.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <variant>

#include "scheduler/core/lifecycle.h"

namespace ultramarine::core {
namespace {

/// When the ranks run at the latest in a normal launch: what the plan counted on.
Time normal_start(const Attempt& attempt, const PolicyConfig& policy) { return attempt.decided_ms + policy.launch_allowance_ms; }

/// Whether an attempt that hasn't ended is beyond the time that the plan gave it.
bool anybody_overdue(const State& state, Time now) {
  return std::any_of(state.jobs.begin(), state.jobs.end(), [&](const auto& entry) {
    const Job& job = entry.second;
    if (!is_active(job.state)) return false;
    const Attempt& attempt = job.attempts.back();
    const Time start = std::max(attempt.started_ms.value_or(Time{}), normal_start(attempt, state.policy));
    return now >= start + time_limit(job, attempt) + job.spec.stop_grace_ms;
  });
}

/// What the entry can do to planned starts, apart from jobs that come in above, change places, or start.
std::optional<SlipCause> cause_of(const Entry& entry, const State& after) {
  return std::visit(
      [&]<class Kind>(const Kind& one) -> std::optional<SlipCause> {
        constexpr bool is_any_of_nodes = std::is_same_v<Kind, NodeJoined> || std::is_same_v<Kind, NodeSuspected> || std::is_same_v<Kind, NodeUnreachable> ||
                                         std::is_same_v<Kind, NodeDrained> || std::is_same_v<Kind, NodeResumed> || std::is_same_v<Kind, NodeLost>;
        if constexpr (is_any_of_nodes) return SlipCause::node_loss;
        if constexpr (std::is_same_v<Kind, ReservationMade> || std::is_same_v<Kind, ReservationEnded>) return SlipCause::reservation;
        if constexpr (std::is_same_v<Kind, ClusterConfigured> || std::is_same_v<Kind, PolicyChanged> || std::is_same_v<Kind, PeriodStarted>)
          return SlipCause::configuration;
        if constexpr (std::is_same_v<Kind, JobBoosted> || std::is_same_v<Kind, JobExtended>) return SlipCause::boost;
        if constexpr (std::is_same_v<Kind, JobEdited> || std::is_same_v<Kind, JobCancelled> || std::is_same_v<Kind, JobHeld> || std::is_same_v<Kind, AttemptEnded>) return SlipCause::early_end;
        if constexpr (std::is_same_v<Kind, GangStarted>) {
          const auto job = after.jobs.find(one.job);
          if (one.gang != 1 || job == after.jobs.end() || job->second.attempts.empty()) return std::nullopt;
          const Attempt& attempt = job->second.attempts.back();
          return attempt.started_ms && *attempt.started_ms > normal_start(attempt, after.policy) ? SlipCause::late_end : SlipCause::early_end;
        }
        return std::nullopt;
      },
      entry);
}

/// Others are planned around it, or would be if its nodes were there.
bool is_in_line(const PlannedJob& line) {
  return line.reason.code != ReasonCode::held && line.reason.code != ReasonCode::dependency && line.reason.code != ReasonCode::dependency_never;
}

}  // namespace

void SlipCounter::on_entry(const Entry& entry, const State& after) {
  if (const auto cause = cause_of(entry, after)) happened_[static_cast<std::size_t>(*cause)] = true;
  const auto* round = std::get_if<Round>(&entry);
  if (!round) return;
  for (const Decision& decision : round->decisions) {
    const auto* start = std::get_if<StartJob>(&decision);
    if (!start) {
      happened_[static_cast<std::size_t>(SlipCause::early_end)] = true;  // rejected or preempted: its place is free
      continue;
    }
    if (start->trial_ms) {
      lowest_started_ = std::numeric_limits<std::int64_t>::max();  // it is below everybody
      continue;
    }
    const auto promise = promises_.find(start->job);
    if (promise != promises_.end() && promise->second.in_line) lowest_started_ = std::max(lowest_started_, promise->second.position);
    else happened_[static_cast<std::size_t>(SlipCause::arrival_above)] = true;  // it came and went between two plans
  }
  const std::int64_t interval = std::max<std::int64_t>(after.policy.priority_interval_ms.ms, 1);
  starts_may_follow_another_order_ = starts_may_follow_another_order_ || round->now_ms.ms / interval != looked_at_.ms / interval;
}

std::vector<Slip> SlipCounter::on_plan(const State& state, const Plan& plan) {
  if (anybody_overdue(state, plan.now_ms)) happened_[static_cast<std::size_t>(SlipCause::late_end)] = true;
  std::vector<Slip> slips;
  std::map<JobId, Promise> promises;
  bool somebody_came = false;          // above the line that is looked at
  std::int64_t lowest_of_those_above = 0;  // by their places in the last plan
  for (std::size_t index = 0; index < plan.jobs.size(); ++index) {
    const PlannedJob& line = plan.jobs[index];
    const auto found = promises_.find(line.job);
    const Promise before = found == promises_.end() ? Promise{} : found->second;
    Promise now{static_cast<std::int64_t>(index) + 1, is_in_line(line), line.start_ms, std::nullopt};

    const auto cause = [&] {
      Causes causes = happened_;
      causes[static_cast<std::size_t>(SlipCause::order_change)] = lowest_of_those_above > before.position;
      causes[static_cast<std::size_t>(SlipCause::arrival_above)] |= somebody_came;
      if (lowest_started_ > before.position)
        causes[static_cast<std::size_t>(starts_may_follow_another_order_ ? SlipCause::order_change : SlipCause::overtaken)] = true;
      const auto first = std::find(causes.begin(), causes.end(), true);
      return first == causes.end() ? SlipCause::late_end : static_cast<SlipCause>(first - causes.begin());
    };
    if (before.in_line && now.in_line && before.start) {
      if (!now.start) {
        now.start = before.start;
        now.taken = before.taken ? *before.taken : cause();
      } else if (*now.start > *before.start) {
        slips.push_back({line.job, *now.start - *before.start, before.taken ? *before.taken : cause()});
      }
    }
    if (!before.in_line) somebody_came = somebody_came || now.in_line;
    else lowest_of_those_above = std::max(lowest_of_those_above, before.position);
    promises.emplace(line.job, now);
  }
  for (const Slip& slip : slips) {
    Duration& total = totals_[static_cast<std::size_t>(slip.cause)];
    total = total + slip.later;
  }
  promises_ = std::move(promises);
  happened_ = {};
  lowest_started_ = 0;
  starts_may_follow_another_order_ = false;
  looked_at_ = plan.now_ms;
  return slips;
}

}  // namespace ultramarine::core
