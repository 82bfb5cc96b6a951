// One rule per outcome.
#include "scheduler/api/exit_code.h"

#include <algorithm>
#include <csignal>

namespace ultramarine::api {

namespace {

constexpr std::int64_t system_failure = 125;

std::int64_t of_failure(const std::optional<Failure>& failure) {
  if (!failure) return 1;
  if (failure->signal != 0) return 128 + failure->signal;
  return failure->exit_code != 0 ? failure->exit_code : 1;
}

/// A command that isn't there or can't be run is the user's to mend. The node names the code, or says it in the words of the shell.
std::int64_t of_refused_start(const std::optional<Failure>& failure) {
  if (!failure) return system_failure;
  if (failure->exit_code == 126 || failure->exit_code == 127) return failure->exit_code;
  if (failure->detail.rfind("command not found", 0) == 0) return 127;
  return failure->detail.rfind("cannot run ", 0) == 0 ? 126 : system_failure;
}

bool any_rank_ended_by(const std::vector<Gang>& gangs, std::int64_t signal) {
  return std::any_of(gangs.begin(), gangs.end(), [&](const Gang& gang) {
    return std::any_of(gang.ranks.begin(), gang.ranks.end(), [&](const RankResult& rank) { return rank.signal == signal; });
  });
}

std::int64_t of_end(Outcome outcome, const std::optional<Failure>& failure, const std::vector<Gang>& gangs) {
  switch (outcome) {
    case Outcome::succeeded: return 0;
    case Outcome::failed: return of_failure(failure);
    case Outcome::out_of_memory: return 128 + SIGKILL;
    case Outcome::cancelled: return 128 + SIGTERM;
    case Outcome::timed_out:
      if (any_rank_ended_by(gangs, SIGKILL)) return 128 + SIGKILL;
      return any_rank_ended_by(gangs, SIGTERM) ? 128 + SIGTERM : 124;
    case Outcome::start_failed: return of_refused_start(failure);
    case Outcome::preempted:
    case Outcome::node_lost:
    case Outcome::device_lost:
    case Outcome::stalled:
    case Outcome::supervisor_lost: return system_failure;
  }
  return system_failure;
}

/// The attempt's own ranks are those of its first gang: what `ultra run` started counts for the script alone.
std::int64_t of_attempt(const Attempt& attempt) {
  std::vector<Gang> own;
  for (const Gang& gang : attempt.gangs)
    if (gang.gang == 1) own.push_back(gang);
  return of_end(attempt.outcome.value_or(Outcome::supervisor_lost), attempt.failure, own);
}

std::int64_t highest_of_ranks(const Gang& gang) {
  std::int64_t highest = 0;
  for (const RankResult& rank : gang.ranks) highest = std::max(highest, rank.signal != 0 ? 128 + rank.signal : rank.exit_code);
  return highest;
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

std::optional<std::int64_t> exit_code(const Gang& gang) {
  if (!gang.finished_ms || !gang.outcome) return std::nullopt;
  if (*gang.outcome == Outcome::cancelled && !gang.ranks.empty()) return highest_of_ranks(gang);
  return of_end(*gang.outcome, gang.failure, {gang});
}

}  // namespace ultramarine::api
