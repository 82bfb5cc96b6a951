// What a shell would see of each end.
#include <gtest/gtest.h>

#include "scheduler/api/exit_code.h"

namespace ultramarine::api {
namespace {

Job ended(Outcome outcome, JobState state = JobState::failed) {
  Job job;
  job.state = state;
  Attempt attempt;
  attempt.outcome = outcome;
  attempt.gangs.emplace_back();
  job.attempts.push_back(attempt);
  return job;
}

Job failed_with(Outcome outcome, std::int64_t code, std::int64_t signal) {
  Job job = ended(outcome);
  Failure failure;
  failure.rank = 3;
  failure.exit_code = code;
  failure.signal = signal;
  job.attempts.back().failure = failure;
  return job;
}

TEST(ExitCode, IsUnknownUntilTheJobHasEnded) {
  for (const JobState state :
       {JobState::queued, JobState::held, JobState::starting, JobState::running, JobState::stopping, JobState::unknown})
    EXPECT_EQ(exit_code(ended(Outcome::succeeded, state)), std::nullopt);
}

TEST(ExitCode, IsTheProgramsOwn) {
  EXPECT_EQ(exit_code(ended(Outcome::succeeded, JobState::completed)), 0);
  EXPECT_EQ(exit_code(failed_with(Outcome::failed, 3, 0)), 3);
  EXPECT_EQ(exit_code(failed_with(Outcome::failed, 0, 11)), 139);
  EXPECT_EQ(exit_code(failed_with(Outcome::failed, 0, 0)), 1);
  EXPECT_EQ(exit_code(ended(Outcome::failed)), 1);
}

TEST(ExitCode, SaysHowItWasStopped) {
  EXPECT_EQ(exit_code(ended(Outcome::cancelled, JobState::cancelled)), 143);
  Job never_started;
  never_started.state = JobState::cancelled;
  EXPECT_EQ(exit_code(never_started), 143);
  Job late = ended(Outcome::timed_out);
  EXPECT_EQ(exit_code(late), 124);
  late.attempts.back().gangs[0].ranks.resize(2);
  late.attempts.back().gangs[0].ranks[1].signal = 15;
  EXPECT_EQ(exit_code(late), 143);
  late.attempts.back().gangs[0].ranks[0].signal = 9;
  EXPECT_EQ(exit_code(late), 137);
  EXPECT_EQ(exit_code(ended(Outcome::out_of_memory)), 137);
}

TEST(ExitCode, TellsAWrongCommandFromAFailureOfOurs) {
  EXPECT_EQ(exit_code(failed_with(Outcome::start_failed, 127, 0)), 127);
  EXPECT_EQ(exit_code(failed_with(Outcome::start_failed, 126, 0)), 126);
  EXPECT_EQ(exit_code(failed_with(Outcome::start_failed, 1, 0)), 125);
  Job missing = ended(Outcome::start_failed);
  missing.attempts.back().failure.emplace().detail = "command not found: trian does not exist on node01";
  EXPECT_EQ(exit_code(missing), 127);
  missing.attempts.back().failure->detail = "cannot run /data/train.sh on node01: permission denied";
  EXPECT_EQ(exit_code(missing), 126);
  missing.attempts.back().failure->detail = "working directory /data does not exist on node01";
  EXPECT_EQ(exit_code(missing), 125);
  for (const Outcome outcome : {Outcome::node_lost, Outcome::device_lost, Outcome::supervisor_lost, Outcome::preempted, Outcome::stalled})
    EXPECT_EQ(exit_code(ended(outcome)), 125);
  Job rejected;
  rejected.state = JobState::failed;
  EXPECT_EQ(exit_code(rejected), 125);
}

TEST(ExitCodeOfAGang, IsThatOfItsRanks) {
  Gang gang{.gang = 2, .requested_ms = Time{1}};
  EXPECT_EQ(exit_code(gang), std::nullopt);
  gang.finished_ms = Time{5};
  gang.outcome = Outcome::succeeded;
  EXPECT_EQ(exit_code(gang), 0);
  gang.outcome = Outcome::failed;
  gang.failure = Failure{.rank = 1, .exit_code = 7};
  gang.ranks = {{.rank = 0, .signal = 15}, {.rank = 1, .exit_code = 7}};
  EXPECT_EQ(exit_code(gang), 7) << "the rank that failed first, not those that were stopped after it";
  gang.failure.reset();
  gang.outcome = Outcome::cancelled;
  EXPECT_EQ(exit_code(gang), 143) << "the highest of its ranks";
  gang.ranks = {{.rank = 0, .exit_code = 0}, {.rank = 1, .exit_code = 3}};
  EXPECT_EQ(exit_code(gang), 3);
  gang.ranks.clear();
  EXPECT_EQ(exit_code(gang), 143);
  gang.outcome = Outcome::node_lost;
  EXPECT_EQ(exit_code(gang), 125);
}

TEST(ExitCodeOfAScript, IsNotThatOfItsGangs) {
  Job job;
  job.state = JobState::failed;
  Attempt& attempt = job.attempts.emplace_back();
  attempt.outcome = Outcome::timed_out;
  attempt.gangs = {{.gang = 1, .ranks = {{.rank = 0, .signal = 15}}}, {.gang = 2, .ranks = {{.rank = 0, .signal = 9}}}};
  EXPECT_EQ(exit_code(job), 143);
}

}  // namespace
}  // namespace ultramarine::api
