// See failures.h.
#include "scheduler/core/failures.h"

#include <algorithm>
#include <csignal>
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

/// Ended by what hardly anything but its own fault, or the kernel, sends; SIGABRT is how many libraries end when a peer
/// is gone.
bool is_crash(const Failure& failure) {
  return failure.signal == SIGSEGV || failure.signal == SIGBUS || failure.signal == SIGILL ||
         failure.signal == SIGFPE || failure.signal == SIGKILL;
}

bool is_of_a_rank(Outcome outcome, const Failure& failure) {
  return (outcome == Outcome::failed || outcome == Outcome::out_of_memory) && failure.rank >= 0 &&
         !failure.node_at_fault;
}

constexpr Duration consequences_come_within{1'000};  // beyond it, the clocks of nodes differ

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

bool explains(const GangFailed& report, Outcome other, const Failure& failure) {
  if (!is_of_a_rank(report.outcome, report.failure) || !is_of_a_rank(other, failure)) return false;
  if (is_crash(report.failure) != is_crash(failure)) return is_crash(report.failure);
  return report.failure.at_ms < failure.at_ms && failure.at_ms - report.failure.at_ms <= consequences_come_within;
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
  if (!is_of_node) ++job.restarts;
  if (job.fruitless >= fruitless_attempts_max)
    job.hold = Hold{HoldKind::no_progress, std::to_string(job.fruitless) + " attempts in a row failed without a new checkpoint", by_the_scheduler, now};
  // Of what a node does once nobody knows that it does it again.
  job.restart_ms.reset();
  if (!is_of_node || job.fruitless > 1) job.restart_ms = now + restart_delay(timeouts, std::max<std::int64_t>(job.fruitless, 1));
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
