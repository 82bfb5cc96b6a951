// One rule per outcome.
#include "scheduler/api/exit_code.h"

#include <algorithm>
#include <csignal>

namespace ultramarine::api {

namespace {

constexpr std::int64_t system_failure = 125;

std::int64_t of_failure(const Attempt& attempt) {
  if (!attempt.failure) return 1;
  if (attempt.failure->signal != 0) return 128 + attempt.failure->signal;
  return attempt.failure->exit_code != 0 ? attempt.failure->exit_code : 1;
}

/// A command that isn't there or can't be run is the user's to mend. The node names the code, or says it in the words of the shell.
std::int64_t of_refused_start(const Attempt& attempt) {
  if (!attempt.failure) return system_failure;
  const Failure& failure = *attempt.failure;
  if (failure.exit_code == 126 || failure.exit_code == 127) return failure.exit_code;
  if (failure.detail.rfind("command not found", 0) == 0) return 127;
  return failure.detail.rfind("cannot run ", 0) == 0 ? 126 : system_failure;
}

bool any_rank_ended_by(const Attempt& attempt, std::int64_t signal) {
  return std::any_of(attempt.gangs.begin(), attempt.gangs.end(), [&](const Gang& gang) {
    return std::any_of(gang.ranks.begin(), gang.ranks.end(), [&](const RankResult& rank) { return rank.signal == signal; });
  });
}

std::int64_t of_attempt(const Attempt& attempt) {
  switch (attempt.outcome.value_or(Outcome::supervisor_lost)) {
    case Outcome::succeeded: return 0;
    case Outcome::failed: return of_failure(attempt);
    case Outcome::out_of_memory: return 128 + SIGKILL;
    case Outcome::cancelled: return 128 + SIGTERM;
    case Outcome::timed_out:
      if (any_rank_ended_by(attempt, SIGKILL)) return 128 + SIGKILL;
      return any_rank_ended_by(attempt, SIGTERM) ? 128 + SIGTERM : 124;
    case Outcome::start_failed: return of_refused_start(attempt);
    case Outcome::preempted:
    case Outcome::node_lost:
    case Outcome::device_lost:
    case Outcome::stalled:
    case Outcome::supervisor_lost: return system_failure;
  }
  return system_failure;
}

}  // namespace

std::optional<std::int64_t> exit_code(const Job& job) {
  switch (job.state) {
    case JobState::completed: return 0;
    case JobState::cancelled: return 128 + SIGTERM;
    case JobState::failed: return job.attempts.empty() ? system_failure : of_attempt(job.attempts.back());
    default: return std::nullopt;
  }
}

}  // namespace ultramarine::api
