// The numbers of a replay, against ones worked out by hand.
#include "scheduler/simulator/metrics.h"

#include <gtest/gtest.h>

namespace ultramarine::simulator {
namespace {

Time at(std::int64_t second) { return Time{second * 1000}; }

TEST(Metrics, PercentilesAreNearestRank) {
  const std::vector<double> ten{1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  EXPECT_EQ(percentile(ten, 50), 5);
  EXPECT_EQ(percentile(ten, 95), 10);
  EXPECT_EQ(percentile(ten, 10), 1);
  EXPECT_EQ(percentile({7}, 50), 7);
  EXPECT_EQ(percentile({}, 50), 0);
  std::vector<double> hundred;
  for (int value = 1; value <= 100; ++value) hundred.push_back(value);
  EXPECT_EQ(percentile(hundred, 95), 95);
  EXPECT_EQ(percentile(hundred, 99), 99);
}

/// Two jobs on 10 GPUs: a runs 100 s on 4 at once; b comes at 50, runs 5 s on 8 from 100 on.
Trace two_jobs() {
  Trace trace;
  trace.jobs = {{.id = "a", .submit_s = 0, .runtime_s = 100, .gpus = 4, .account = "x"}, {.id = "b", .submit_s = 50, .runtime_s = 5, .gpus = 8, .account = "y"}};
  return trace;
}
Replay two_outcomes() {
  Replay replay;
  replay.cluster_gpus = 10;
  replay.jobs = {{.row = 0, .first_start = at(0), .end = at(100), .attempts = 1}, {.row = 1, .first_start = at(100), .end = at(105), .attempts = 1}};
  replay.load = {{at(0), 4, 0}, {at(50), 4, 1}, {at(100), 8, 0}, {at(105), 0, 0}};
  return replay;
}

TEST(Metrics, WaitsSlowdownsAndUtilization) {
  const Summary summary = summarize("fifo", two_jobs(), two_outcomes());
  EXPECT_EQ(summary.jobs, 2);
  EXPECT_EQ(summary.wait_s.mean, 25);
  EXPECT_EQ(summary.wait_s.p50, 0);
  EXPECT_EQ(summary.wait_s.max, 50);
  EXPECT_EQ(summary.turnaround_s.mean, 77.5);
  EXPECT_EQ(summary.bounded_slowdown.max, 5.5);  // 55 s of turnaround over at least 10 s of runtime
  EXPECT_EQ(summary.bounded_slowdown.mean, 3.25);
  EXPECT_EQ(summary.makespan_s, 105);
  EXPECT_DOUBLE_EQ(summary.utilization, 440.0 / 1050);
  EXPECT_DOUBLE_EQ(summary.utilization_while_jobs_arrive, 0.4);
  EXPECT_DOUBLE_EQ(summary.fairness.value(), 6.5 * 6.5 / (2 * (1 + 5.5 * 5.5)));
  ASSERT_EQ(summary.sizes.size(), 1u);
  EXPECT_EQ(summary.sizes[0].gpus, "2-8");
  EXPECT_EQ(summary.sizes[0].jobs, 2);
}

TEST(Metrics, AJobThatProgressedMeanwhileWaitedLess) {
  Trace trace = two_jobs();
  Replay replay = two_outcomes();
  replay.jobs[0].end = at(130);  // stopped for 30 s
  replay.jobs[0].preemptions = 1;
  const Summary summary = summarize("srtf", trace, replay);
  EXPECT_EQ(summary.wait_s.mean, 40);
  EXPECT_EQ(summary.first_wait_s_mean, 25);
  EXPECT_EQ(summary.preemptions, 1);
}

TEST(Metrics, JobsThatNeverRanCountApart) {
  Trace trace = two_jobs();
  Replay replay = two_outcomes();
  replay.jobs[1].end.reset();
  replay.jobs[1].first_start.reset();
  const Summary summary = summarize("fifo", trace, replay);
  EXPECT_EQ(summary.jobs, 1);
  EXPECT_EQ(summary.never_ran, 1);
  EXPECT_EQ(summary.makespan_s, 100);
}

TEST(Metrics, NothingRanIsNoError) {
  Replay replay;
  replay.cluster_gpus = 8;
  const Summary summary = summarize("fifo", two_jobs(), replay);
  EXPECT_EQ(summary.jobs, 0);
  EXPECT_EQ(summary.utilization, 0);
  EXPECT_FALSE(summary.fairness.has_value());
}

}  // namespace
}  // namespace ultramarine::simulator
