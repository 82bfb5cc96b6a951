// The words for states, times and ends, and which option an API field stands for.
#include "scheduler/cli/words.h"

#include <gtest/gtest.h>

#include "scheduler/cli/client.h"
#include "tests/unit/cli/fake_api.h"

namespace ultramarine::cli {
namespace {

using test::fixed_now;

TEST(Words, TimesAreRelativeToNow) {
  EXPECT_EQ(relative(fixed_now, fixed_now), "now");
  EXPECT_EQ(relative(fixed_now + milliseconds(999), fixed_now), "now");
  EXPECT_EQ(relative(fixed_now + minutes(14), fixed_now), "in 14m");
  EXPECT_EQ(relative(fixed_now - minutes(3), fixed_now), "3m ago");
  EXPECT_EQ(local_time(fixed_now), "2023-11-14 22:13:20");
}

TEST(Words, NumbersAreSpelled) {
  EXPECT_EQ(counted(1, "GPU", "GPUs"), "1 GPU");
  EXPECT_EQ(counted(0, "GPU", "GPUs"), "0 GPUs");
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(1023), "1023 B");
  EXPECT_EQ(bytes_text(1536), "1.5 KiB");
  EXPECT_EQ(bytes_text(80LL << 30), "80.0 GiB");
  EXPECT_EQ(percent(375), "37.5%");
  EXPECT_EQ(ending(3, 0), "code 3");
  EXPECT_EQ(ending(0, 9), "signal 9 (SIGKILL)");
}

TEST(Words, AJobsTimeIsElapsedOfItsLimit) {
  EXPECT_EQ(elapsed_of_limit(test::running_job().details, fixed_now), "5m / 2h");
  EXPECT_EQ(elapsed_of_limit(test::queued_job().details, fixed_now), "- / 2h");
  EXPECT_EQ(elapsed_of_limit(test::completed_job().details, fixed_now), "4m / 2h");  // stands still after the end
  protocol::JobView again = test::running_job();                                     // queued again after an attempt
  again.details.attempts.back().ended_ms = fixed_now;
  again.details.state = JobState::queued;
  EXPECT_EQ(elapsed_of_limit(again.details, fixed_now), "- / 2h");
}

TEST(Words, TheOutlookOfAQueuedJobSaysWhenWhereAndWhyOnce) {
  EXPECT_EQ(outlook(test::queued_job(), fixed_now),
            "Planned start: in 14m (2023-11-14 22:27:20) on node[01-02]: Waits for 16 GPUs; 8 are free.");
  protocol::JobView now = test::queued_job();
  now.planned->start_ms = fixed_now;
  EXPECT_EQ(outlook(now, fixed_now), "It starts now on node[01-02].");
  protocol::JobView never = test::queued_job();
  never.planned->start_ms.reset();
  never.why = "Waits for 16 GPUs on nodes that don't answer: node02 (down).";
  EXPECT_EQ(outlook(never, fixed_now),
            "It has no planned start yet: Waits for 16 GPUs on nodes that don't answer: node02 (down).");
  EXPECT_EQ(outlook(test::running_job(), fixed_now), "It is running on node[01-02].");
}

TEST(Words, TheEndNamesRankNodeAndCause) {
  EXPECT_EQ(ended_sentence(test::completed_job()), "job 5 completed in 4m");
  EXPECT_EQ(ended_sentence(test::failed_job()),
            "job 7 failed: rank 3 on node01 ended with signal 9 (SIGKILL) (see 'ultra show 7')");
  protocol::JobView late = test::failed_job();
  late.details.attempts.back().outcome = Outcome::timed_out;
  EXPECT_EQ(ended_sentence(late),
            "job 7 failed: it reached its time limit of 2h; give more with --time (see 'ultra show 7')");
  protocol::JobView refused = test::failed_job();
  refused.details.attempts.back().outcome = Outcome::start_failed;
  Failure failure;
  failure.node = "node02";
  failure.detail = "working directory /nope does not exist on node02";
  refused.details.attempts.back().failure = failure;
  EXPECT_EQ(ended_sentence(refused),
            "job 7 failed: working directory /nope does not exist on node02; give a folder that every node has with "
            "--workdir (see 'ultra show 7')");
}

TEST(Words, TheExitCodeIsTheJobs) {
  EXPECT_EQ(exit_code_of(test::failed_job()), 137);
  EXPECT_EQ(exit_code_of(test::completed_job()), 0);
  protocol::JobView silent = test::failed_job();
  silent.exit_code.reset();
  EXPECT_EQ(exit_code_of(silent), exit_code::system_failed);
}

TEST(Fields, BecomeTheOptionsThatPeopleType) {
  EXPECT_EQ(option_for_field("spec.resources.gpus"), "--gpus");
  EXPECT_EQ(option_for_field("resources.gpus_per_node"), "--gpus-per-node");
  EXPECT_EQ(option_for_field("spec.resources.nodes"), "--nodes");
  EXPECT_EQ(option_for_field("spec.time_limit_ms"), "--time");
  EXPECT_EQ(option_for_field("spec.stop_grace_ms"), "--grace");
  EXPECT_EQ(option_for_field("spec.working_directory"), "--workdir");
  EXPECT_EQ(option_for_field("spec.command[0]"), "command");
  EXPECT_EQ(option_for_field("environment.LD_PRELOAD"), "--export");
  EXPECT_EQ(option_for_field("job"), "JOB");
  EXPECT_EQ(option_for_field("something.new"), "something.new");
  EXPECT_EQ(option_for_field(""), "");
}

TEST(Fields, ErrorCodesBecomeExitCodesAndNewOnesFollowTheStatus) {
  EXPECT_EQ(exit_code_for("bad_request", 400), 2);
  EXPECT_EQ(exit_code_for("impossible", 400), 2);
  EXPECT_EQ(exit_code_for("not_found", 404), 3);
  EXPECT_EQ(exit_code_for("not_permitted", 403), 4);
  EXPECT_EQ(exit_code_for("not_ready", 503), 5);
  EXPECT_EQ(exit_code_for("conflict", 409), 6);
  EXPECT_EQ(exit_code_for("a_new_word", 404), 3);
  EXPECT_EQ(exit_code_for("", 500), 1);
}

TEST(Fields, ErrorsStayOnOneLineWhateverTheyHold) {
  EXPECT_EQ(error_line("--gpus", "65 GPUs asked, partition main has 64", "ask for at most 64"),
            "--gpus: 65 GPUs asked, partition main has 64; ask for at most 64");
  EXPECT_EQ(error_line("", "a\nb", ""), "a?b");
}

}  // namespace
}  // namespace ultramarine::cli
