// See failures.h.
#include "scheduler/core/failures.h"

#include <algorithm>
#include <string>

#include "scheduler/core/gangs.h"
#include "scheduler/core/lifecycle.h"

namespace ultramarine::core {
namespace {

constexpr std::int64_t fruitless_attempts_max = 3;

/// Somebody else's fault: the job may well run elsewhere.
bool is_of_the_node(Outcome outcome, const std::optional<Failure>& failure) {
  switch (outcome) {
    case Outcome::node_lost:
    case Outcome::device_lost:
    case Outcome::supervisor_lost: return true;
    default: return failure && failure->node_at_fault;
  }
}

bool is_of_the_job(Outcome outcome) {
  return outcome == Outcome::failed || outcome == Outcome::out_of_memory || outcome == Outcome::stalled || outcome == Outcome::start_failed;
}

/// How long a job waits that has failed so often in a row.
Duration restart_delay(const TimeoutsConfig& timeouts, std::int64_t failures) {
  Duration delay = timeouts.restart_delay_ms;
  for (; failures > 1 && delay < timeouts.restart_delay_max_ms; --failures) delay = delay + delay;
  return std::min(delay, timeouts.restart_delay_max_ms);
}

}  // namespace

bool is_end_of_trial(const Attempt& attempt, Outcome outcome) {
  return attempt.trial_ms && (outcome == Outcome::timed_out || outcome == Outcome::out_of_memory);
}

bool is_trial_ending(const Job& job) {
  const Gang* const first = find_gang(job.attempts.back(), 1);
  return first && first->outcome && is_end_of_trial(job.attempts.back(), *first->outcome);
}

bool may_restart(const Job& job, Outcome outcome, const std::optional<Failure>& failure) {
  return is_of_the_node(outcome, failure) || (is_of_the_job(outcome) && job.restarts < job.spec.max_restarts);
}

bool restarts(const TimeoutsConfig& timeouts, Job& job, Time now) {
  const Attempt& attempt = job.attempts.back();
  if (job.stop_cause == StopCause::cancelled) return false;
  if (!may_restart(job, *attempt.outcome, attempt.failure)) return false;
  const bool is_of_node = is_of_the_node(*attempt.outcome, attempt.failure);
  const bool has_progressed = job.checkpoint && job.checkpoint->at_ms >= attempt.decided_ms;
  job.fruitless = has_progressed ? 0 : job.fruitless + 1;
  // Who saves something and fails soon again and again would keep its nodes busy with starts, so that alone shortens no wait.
  const bool has_run_long = attempt.started_ms && now - *attempt.started_ms >= timeouts.restart_delay_max_ms;
  job.failed_in_row = has_run_long ? 1 : job.failed_in_row + 1;
  if (!is_of_node) ++job.restarts;
  if (job.fruitless >= fruitless_attempts_max)
    job.hold = Hold{HoldKind::no_progress, std::to_string(job.fruitless) + " attempts in a row failed without a new checkpoint", by_the_scheduler, now};
  // Of what a node does once nobody knows that it does it again.
  job.restart_ms.reset();
  if (!is_of_node || job.failed_in_row > 1) job.restart_ms = now + restart_delay(timeouts, job.failed_in_row);
  job.avoided_nodes.clear();
  if (attempt.failure && !attempt.failure->node.empty()) job.avoided_nodes.push_back(attempt.failure->node);
  return true;
}

void forget_failure(Attempt& attempt) {
  attempt.failure.reset();
  for (Gang& gang : attempt.gangs)
    if (gang.gang == 1) gang.failure.reset();
}

}  // namespace ultramarine::core
