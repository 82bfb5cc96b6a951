// The virtual world: what happens in an instant and in which order, and what it does with rows that the cluster doesn't know.
#include "scheduler/simulator/world.h"

#include <gtest/gtest.h>

#include "scheduler/protocol/config.h"
#include "scheduler/simulator/report.h"

namespace ultramarine::simulator {
namespace {

ClusterConfig cluster(const std::string& more = "") {
  return protocol::parse_cluster_file("[[node]]\nname = \"node[1-2]\"\ngpus = 4\nvirtual = true\n" + more, "/cluster.toml").cluster;
}

Trace trace_of(const std::string& rows) { return parse_csv("id,submit_s,runtime_s,gpus,limit_s,account,partition,qos\n" + rows, "t.csv", BadRows::refused); }

std::string replayed(const std::string& rows, const std::string& policy = "fifo", Estimate estimate = Estimate::truth) {
  const Trace trace = trace_of(rows);
  const std::string text = jobs_csv(trace, replay(trace, cluster(), protocol::load_policy(policy), estimate));
  return text.substr(text.find('\n') + 1);
}

TEST(World, DevicesOfAJobThatEndsAreThereForOneThatComesInTheSameSecond) {
  EXPECT_EQ(replayed("a,0,10,8,,,,\nb,10,5,8,,,,\n"),
            "a,0,0,10,8,2,1\n"
            "b,10,10,15,8,2,1\n");
}

TEST(World, AllThatArriveInASecondAreThereBeforeAnyoneIsChosen) {
  // b and c come in one second and c fits beside a: with fifo it waits all the same, because b is ahead of it.
  EXPECT_EQ(replayed("a,0,10,6,,,,\nb,1,5,8,,,,\nc,1,5,2,,,,\n"),
            "a,0,0,10,6,2,1\n"
            "b,1,10,15,8,2,1\n"
            "c,1,15,20,2,1,1\n");
}

TEST(World, RowsAreServedBySubmissionAndThenByLine) {
  EXPECT_EQ(replayed("late,5,10,8,,,,\nfirst,0,10,8,,,,\nsecond,0,10,8,,,,\n"),
            "first,0,0,10,8,2,1\n"
            "second,0,10,20,8,2,1\n"
            "late,5,20,30,8,2,1\n");
}

TEST(World, AJobWithoutLengthEndsAsItStarts) {
  EXPECT_EQ(replayed("a,0,0,8,,,,\nb,0,3,8,,,,\n"),
            "a,0,0,0,8,2,1\n"
            "b,0,0,3,8,2,1\n");
}

TEST(World, TheEstimateIsWhatTheSchedulerBelieves) {
  // b is ahead and needs all; c would end before a does if its limit were true, and is believed or not.
  const std::string rows = "a,0,100,4,100,,,\nb,1,10,8,10,,,\nc,2,50,4,500,,,\n";
  EXPECT_NE(replayed(rows, "default", Estimate::truth).find("c,2,2,52,"), std::string::npos);
  EXPECT_NE(replayed(rows, "default", Estimate::limit).find("c,2,110,160,"), std::string::npos);
}

/// Ten minutes on one GPU, for half of the cluster's.
PolicyConfig with_trials() {
  PolicyConfig policy = protocol::load_policy("default");
  policy.order = "submit_time";
  policy.trial = {{"minutes", 10}, {"gpus_per_job", 1}, {"share_permille", 500}};
  return policy;
}

TEST(World, ATrialShowsATypoAtOnceAndIsLostWorkElse) {
  Trace trace = trace_of("occupant,0,9000,7,,,,\ntypo,10,5000,8,,,,\nfine,20,1000,8,,,,\nshort,30,40,8,,,,\n");
  trace.jobs[1].fails_after_s = 25;
  const Replay result = replay(trace, cluster(), with_trials(), Estimate::truth);
  const auto text = jobs_csv(trace, result);
  EXPECT_EQ(text.substr(text.find('\n') + 1),
            "occupant,0,0,9000,7,2,1\n"
            "typo,10,10,35,8,1,1\n"
            "fine,20,9000,10000,8,2,2\n"     // one GPU was left for trials: after that of the typo
            "short,30,10000,10040,8,2,2\n");  // its trial is no longer than its limit of 40 s, and it needs 320 s on one GPU
  const Trials trials = summarize("trials", trace, result).trials.value();
  EXPECT_EQ(trials.trials, 3);
  EXPECT_EQ(trials.failed_early, 1);
  EXPECT_EQ(trials.failed_in_trial, 1);
  EXPECT_DOUBLE_EQ(trials.known_s.mean, 25);
  EXPECT_DOUBLE_EQ(trials.wasted_gpu_h, (25.0 + 600.0 + 40.0) / 3600);
  EXPECT_EQ(summarize("trials", trace, result).preemptions, 0);
}

TEST(World, WithoutTrialsATypoWaitsItsTurn) {
  Trace trace = trace_of("occupant,0,9000,7,,,,\ntypo,10,5000,8,,,,\nfine,20,1000,8,,,,\n");
  trace.jobs[1].fails_after_s = 25;
  PolicyConfig policy = with_trials();
  policy.trial.clear();
  const Replay result = replay(trace, cluster(), policy, Estimate::truth);
  EXPECT_EQ(result.jobs[1].end, Time{} + seconds(9025));
  EXPECT_EQ(result.jobs[2].first_start, Time{} + seconds(9025));
  const Trials trials = summarize("none", trace, result).trials.value();
  EXPECT_EQ(trials.trials, 0);
  EXPECT_DOUBLE_EQ(trials.known_s.mean, 9015);
  EXPECT_DOUBLE_EQ(trials.wasted_gpu_h, 8 * 25.0 / 3600);
}

TEST(World, NobodyIsStoppedAtHisLimit) {
  EXPECT_EQ(replayed("a,0,100,8,10,,,\nb,1,10,8,10,,,\n", "default", Estimate::limit),
            "a,0,0,100,8,2,1\n"
            "b,1,100,110,8,2,1\n");
}

TEST(World, JobsThatTheClusterCantRunAreNamedAndLeftOut) {
  const Trace trace = trace_of("big,0,10,9,,,,\nsmall,0,10,8,,,,\n");
  const Replay result = replay(trace, cluster(), protocol::load_policy("fifo"), Estimate::truth);
  ASSERT_EQ(result.refused.size(), 1u);
  EXPECT_EQ(refusals_of(trace, result), "1 job is not taken by this cluster and left out: big (resources.gpus: 9 GPUs asked, partition main has 8)");
  EXPECT_EQ(result.jobs.size(), 1u);
  EXPECT_EQ(summarize("fifo", trace, result).refused, 1);
}

TEST(World, WhatTheClusterDoesNotKnowIsSaid) {
  const Trace trace = trace_of("a,0,10,1,,lab-a,gone,urgent\nb,0,10,1,,lab-b,main,normal\n");
  const Replay result = replay(trace, cluster("[[account]]\nname = \"lab-b\"\nmembers = [\"ann\"]\n"), protocol::load_policy("fifo"), Estimate::truth);
  EXPECT_EQ(result.jobs.size(), 2u);
  EXPECT_EQ(result.notes, (std::vector<std::string>{"the cluster has no partition gone: its first one is used", "the cluster has no QOS urgent: normal is used",
                                                    "the cluster has no account lab-a: added, with one share each"}));
}

TEST(World, LoadIsWhatRunsAndWhatWaits) {
  const Trace trace = trace_of("a,0,10,8,,,,\nb,5,10,4,,,,\n");
  const Replay result = replay(trace, cluster(), protocol::load_policy("fifo"), Estimate::truth);
  std::string text;
  for (const Load& load : result.load) text += std::to_string(load.at.ms / 1000) + ":" + std::to_string(load.gpus) + "/" + std::to_string(load.waiting) + " ";
  EXPECT_EQ(text, "0:8/0 5:8/1 10:4/0 20:0/0 ");
}

TEST(World, SlipsAreCountedByCauseWhenAskedFor) {
  // With the shortest first c comes in ahead of b, which is planned for 100 s by then and has to wait 10 s more.
  PolicyConfig policy;
  policy.order = "shortest";
  policy.launch_allowance_ms = {};
  const Trace trace = trace_of("a,0,100,8,,,,\nb,1,50,8,,,,\nc,2,10,8,,,,\n");
  const Replay result = replay(trace, cluster(), policy, Estimate::truth, {}, Slips::counted);
  ASSERT_EQ(result.slips.size(), core::slip_causes);
  for (const SlipsOfCause& counted : result.slips) {
    const bool is_arrival = counted.cause == core::SlipCause::arrival_above;
    EXPECT_EQ(counted.slips, is_arrival ? 1 : 0) << static_cast<int>(counted.cause);
    EXPECT_EQ(counted.later, is_arrival ? seconds(10) : Duration{});
  }
  const Summary summary = summarize("shortest", trace, result);
  EXPECT_EQ(summary.slips.at("arrival_above").later_s, 10);
  EXPECT_EQ(summary.harm->slips, 0);
  EXPECT_FALSE(summarize("shortest", trace, replay(trace, cluster(), policy, Estimate::truth)).harm);
}

TEST(World, TheSameInputGivesTheSameAnswer) {
  const std::string rows = "a,0,100,4,100,,,\nb,1,10,8,10,,,\nc,2,50,4,500,,,\n";
  EXPECT_EQ(replayed(rows, "default"), replayed(rows, "default"));
}

TEST(World, ATraceWithoutJobsHasNoOutcome) { EXPECT_EQ(replayed(""), ""); }

}  // namespace
}  // namespace ultramarine::simulator
