// Planned starts, allocations and reasons, case by case.
#include <gtest/gtest.h>

#include <map>

#include "scheduler/core/planner.h"
#include "scheduler/core/policy/policies.h"
#include "tests/unit/core/builders.h"

namespace ultramarine::core {
namespace {

/// How long an hour's job without grace is taken to stay.
const Duration launch_allowance = PolicyConfig{}.launch_allowance_ms;
const std::int64_t an_hour = 3'600'000 + launch_allowance.ms;

TEST(Placement, APartOfANodeGoesWhereTheLeastIsFree) {
  // Fewest nodes, best fit: node2 has 3 free, so a 2-GPU job goes there and the empty nodes stay whole.
  Driver driver(cluster_of(3, 8));
  driver.submit(8, hours(1));
  driver.submit(5, hours(1));
  EXPECT_EQ(driver.start_round().size(), 2u);
  const JobId small = driver.submit(2, hours(1));
  driver.round();
  EXPECT_EQ(in_words(driver.attempt(small).allocation), "node2:5,6");
}

TEST(Placement, MoreThanANodeIsWholeNodesPlusOnePart) {
  // 20 GPUs on nodes of 8: two whole nodes and 4 of the node with the fewest free that still has 4.
  Driver driver(cluster_of(4, 8));
  driver.submit(3, hours(1));
  driver.round();
  const JobId large = driver.submit(20, hours(1));
  driver.round();
  EXPECT_EQ(in_words(driver.attempt(large).allocation), "node1:3,4,5,6 node2:0,1,2,3,4,5,6,7 node3:0,1,2,3,4,5,6,7");
}

TEST(Placement, WhatAJobBehindHoldsDoesNotMakeANodeTighter) {
  // node1 is as good as empty to the job that was overtaken there, so its choice is the same as before it was overtaken.
  Driver driver(cluster_of(3, 8));
  const JobId first = driver.submit(2, 8, minutes(10));
  driver.round();
  const JobId overtaken = driver.submit(12, hours(1)), overtaker = driver.submit(2, minutes(10));
  const auto planned = in_words(driver.planned(overtaken).allocation);
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{overtaker});
  EXPECT_EQ(in_words(driver.planned(overtaken).allocation), planned);
  EXPECT_EQ(driver.planned(overtaken).reason.waits_for, std::vector<JobId>{first});
}

TEST(Placement, AWholePartGoesWhereTheNodeIsWhole) {
  // 12 GPUs: both nodes look alike to the job (a job behind it is on node1), but only node2 has room for the whole part.
  Driver driver(cluster_of(2, 8));
  const JobId first = driver.submit(8, hours(1));
  driver.round();
  const JobId large = driver.submit(12, hours(1)), behind = driver.submit(2, hours(2));
  EXPECT_EQ(driver.start_in_ms(large), an_hour);
  EXPECT_EQ(in_words(driver.planned(large).allocation), "node1:0,1,2,3,4,5,6,7 node2:0,1,2,3");
  driver.apply(JobRequeued{first, ada});
  driver.end(first, Outcome::preempted);
  driver.apply(Round{driver.now, planner_version, "", {StartJob{behind, 1, {{"node1", {6, 7}}}, true}}});
  driver.apply(JobCancelled{first, ada});
  EXPECT_EQ(driver.start_in_ms(large), 0);
  EXPECT_EQ(in_words(driver.planned(large).allocation), "node1:0,1,2,3 node2:0,1,2,3,4,5,6,7");
}

TEST(Placement, NodesTimesGpusPerNodeIsTakenAsAsked) {
  Driver driver(cluster_of(4, 8));
  driver.submit(1, 6, hours(1));
  driver.round();
  const JobId job = driver.submit(2, 3, hours(1));  // node1 has only 2 free
  driver.round();
  EXPECT_EQ(in_words(driver.attempt(job).allocation), "node2:0,1,2 node3:0,1,2");
}

TEST(Placement, NodesAreInNumericOrder) {
  // node10 comes after node9, in ties and in the list of an allocation.
  Driver driver(cluster_of(10, 1));
  const JobId job = driver.submit(10, hours(1));
  driver.round();
  ASSERT_EQ(driver.attempt(job).allocation.size(), 10u);
  EXPECT_EQ(driver.attempt(job).allocation[1].node, "node2");
  EXPECT_EQ(driver.attempt(job).allocation[9].node, "node10");
}

TEST(Plan, EveryQueuedJobHasAStart) {
  // One node: three jobs of the whole node follow each other, each when the one before must have ended.
  Driver driver(cluster_of(1, 8));
  const JobId first = driver.submit(spec_of({.gpus = 8}, hours(1), seconds(30)));
  driver.round();
  const JobId second = driver.submit(spec_of({.gpus = 8}, hours(2), seconds(30)));
  const JobId third = driver.submit(spec_of({.gpus = 8}, hours(1), seconds(30)));
  EXPECT_EQ(driver.start_in_ms(second), an_hour + 30'000);
  EXPECT_EQ(driver.start_in_ms(third), 2 * launch_allowance.ms + 3 * 3'600'000 + 60'000);
  const PlannedJob line = driver.planned(third);
  EXPECT_EQ(line.position, 2);
  EXPECT_EQ(*line.end_ms - *line.start_ms, hours(1));  // the grace is not promised, only kept free
  EXPECT_EQ(line.reason.code, ReasonCode::resources);
  EXPECT_EQ(line.reason.waits_for, std::vector<JobId>{second});
  EXPECT_EQ(driver.planned(second).reason.waits_for, std::vector<JobId>{first});
}

TEST(Plan, ALaunchOfNormalLengthMovesNoPlannedStart) {
  // The time limit counts from the ranks' start; a start within the allowance leaves the plan as it is, a slow one moves it.
  Driver driver(cluster_of(1, 8));
  const JobId first = driver.submit(8, hours(1));
  driver.round();
  const JobId second = driver.submit(8, hours(1));
  const Time promised = *driver.planned(second).start_ms;
  EXPECT_EQ(driver.start_in_ms(second), an_hour);
  driver.now = driver.now + launch_allowance;
  driver.run(first);
  EXPECT_EQ(driver.planned(second).start_ms, promised);
}

TEST(Plan, ASlowLaunchCountsFromTheRanksStart) {
  Driver driver(cluster_of(1, 8));
  const JobId first = driver.submit(8, hours(1));
  driver.round();
  const JobId second = driver.submit(8, hours(1));
  driver.now = driver.now + launch_allowance + seconds(5);
  driver.run(first);
  EXPECT_EQ(driver.start_in_ms(second), 3'600'000);
}

TEST(Backfill, AShortJobFillsTheGapAndSaysSo) {
  // 4 of 8 are free for an hour, then the 8-GPU job has them: what ends by then may start now.
  Driver driver(cluster_of(1, 8));
  driver.submit(4, hours(1));
  driver.round();
  const JobId large = driver.submit(8, hours(1));
  const JobId too_long = driver.submit(2, hours(1) + milliseconds(1));
  const JobId just_right = driver.submit(2, hours(1));
  EXPECT_EQ(driver.planned(large).reason.code, ReasonCode::resources);
  EXPECT_EQ(driver.planned(too_long).reason.code, ReasonCode::priority);
  EXPECT_EQ(driver.planned(too_long).reason.waits_for, std::vector<JobId>{large});
  EXPECT_EQ(driver.planned(just_right).reason.code, ReasonCode::starting_now);
  EXPECT_TRUE(driver.planned(just_right).backfilled);
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{just_right});
  EXPECT_TRUE(driver.attempt(just_right).backfilled);
  EXPECT_EQ(driver.start_in_ms(large), an_hour);
}

TEST(Backfill, BehindOneThatIsOutOfPatienceNobodyStartsForLong) {
  // The long one ends before the promised start of the first that waits, but keeps its devices for longer than the patience.
  PolicyConfig policy;
  policy.patience_ms = hours(2);
  Driver driver(cluster_of(1, 8), policy);
  driver.submit(4, hours(10));
  driver.round();
  const JobId whole = driver.submit(8, hours(1));
  const JobId early = driver.submit(1, hours(5));
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{early});
  driver.now = driver.now + hours(2);
  const Time promised = *driver.planned(whole).start_ms;
  const JobId lasting = driver.submit(1, hours(2)), brief = driver.submit(1, hours(1));
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{brief});
  EXPECT_EQ(driver.planned(whole).start_ms, promised);
  EXPECT_GT(*driver.planned(lasting).start_ms, promised);
}

TEST(Backfill, WhoWaitsForALimitKeepsNobodyAwayHoweverLong) {
  PolicyConfig policy;
  policy.patience_ms = hours(2);
  ClusterConfig cluster = cluster_of(1, 8);
  cluster.accounts.push_back({.name = "lab", .members = {"ada"}, .limits = {.gpus = 4}});
  Driver driver(cluster, policy);
  const auto of_the_lab = [&] {
    JobSpec spec = spec_of({.gpus = 4}, hours(10));
    spec.account = "lab";
    return driver.submit(spec);
  };
  const JobId gone = driver.submit(4, hours(10)), running = of_the_lab();
  driver.round();
  driver.run(gone), driver.end(gone);
  const JobId capped = of_the_lab();
  driver.now = driver.now + hours(3);
  ASSERT_EQ(in_words(driver.attempt(running).allocation), "node1:4,5,6,7");
  ASSERT_EQ(in_words(driver.planned(capped).allocation), "node1:0,1,2,3");
  const JobId lasting = driver.submit(4, hours(5));
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{lasting});
}

TEST(Backfill, StartingInOrderIsNotBackfilling) {
  Driver driver(cluster_of(1, 8));
  const JobId first = driver.submit(4, hours(1));
  const JobId second = driver.submit(4, hours(1));
  EXPECT_EQ(driver.start_round(), (std::vector<JobId>{first, second}));
  EXPECT_FALSE(driver.attempt(second).backfilled);
}

TEST(Backfill, WithNoneNobodyStartsAheadOfTheOrder) {
  PolicyConfig policy;
  policy.backfill = "none";
  Driver driver(cluster_of(1, 8), policy);
  const JobId running = driver.submit(4, hours(1));
  driver.round();
  const JobId large = driver.submit(8, hours(1));
  const JobId small = driver.submit(1, minutes(1));
  EXPECT_TRUE(driver.start_round().empty());
  EXPECT_EQ(driver.start_in_ms(large), an_hour);
  EXPECT_EQ(driver.start_in_ms(small), 2 * an_hour);
  EXPECT_EQ(driver.planned(small).reason.code, ReasonCode::priority);
  EXPECT_EQ(driver.planned(large).reason.waits_for, std::vector<JobId>{running});
  driver.end(running);
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{large});
}

TEST(Backfill, WithNoneAJobThatWaitsForTheOrderAloneWaitsForWhatItsForerunnerWaitsFor) {
  // node3 is free all the time, but the job ahead starts only when node1 and node2 are.
  PolicyConfig policy;
  policy.backfill = "none";
  Driver driver(cluster_of(3, 8), policy);
  const JobId first = driver.submit(8, hours(1)), second = driver.submit(8, hours(1));
  driver.round();
  const JobId large = driver.submit(16, hours(1)), small = driver.submit(1, minutes(1));
  EXPECT_EQ(driver.start_in_ms(large), an_hour);
  EXPECT_EQ(driver.start_in_ms(small), an_hour);
  EXPECT_EQ(in_words(driver.planned(small).allocation), "node3:0");
  EXPECT_EQ(driver.planned(small).reason.code, ReasonCode::priority);
  EXPECT_EQ(driver.planned(small).reason.waits_for, (std::vector<JobId>{first, second}));
}

PolicyConfig textbook(const std::string& order, const std::string& backfill, const std::string& preemption = "none") {
  PolicyConfig policy;
  policy.order = order;
  policy.backfill = backfill;
  policy.placement = "pack";
  policy.preemption = preemption;
  policy.thresholds_gpu_s = {100, 1000};
  policy.launch_allowance_ms = {};
  return policy;
}

TEST(Backfill, SkipPassesOverWhatDoesNotFit) {
  Driver driver(cluster_of(1, 8), textbook("submit_time", "skip"));
  driver.submit(4, hours(1));
  driver.round();
  const JobId large = driver.submit(8, hours(1)), small = driver.submit(3, hours(99)), too_large = driver.submit(2, hours(1));
  EXPECT_EQ(driver.planned(large).reason.code, ReasonCode::resources);
  EXPECT_FALSE(driver.planned(large).start_ms);
  EXPECT_TRUE(driver.planned(small).backfilled);
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{small});
  EXPECT_EQ(driver.attempt(small).allocation.size(), 1u);
  EXPECT_EQ(driver.planned(too_large).reason.code, ReasonCode::resources);
}

TEST(Backfill, EasyProtectsTheFirstThatWaitsAndNobodyElse) {
  // 4 of 8 are free. The first that waits needs 6 in an hour: then 2 are left over. Who ends by then starts, and who takes no more than 2 beyond.
  Driver driver(cluster_of(1, 8), textbook("submit_time", "easy"));
  driver.submit(4, hours(1));
  driver.round();
  const JobId first = driver.submit(6, hours(1)), second = driver.submit(8, hours(1));
  const JobId one = driver.submit(1, hours(5)), short_one = driver.submit(1, hours(1)), two = driver.submit(2, hours(5)), other = driver.submit(1, hours(5));
  EXPECT_EQ(driver.planned(first).reason.code, ReasonCode::resources);
  EXPECT_EQ(driver.planned(second).reason.code, ReasonCode::resources);
  EXPECT_EQ(driver.planned(two).reason.code, ReasonCode::priority);  // it would leave one too few for the first
  EXPECT_EQ(driver.start_round(), (std::vector<JobId>{one, short_one, other}));
}

TEST(Backfill, EasySjfTriesTheShortestFirst) {
  // One GPU is left beyond the promise: the shorter of two takes it though it came later.
  Driver driver(cluster_of(1, 8), textbook("submit_time", "easy_sjf"));
  driver.submit(4, hours(1));
  driver.round();
  driver.submit(7, hours(1));
  const JobId longer = driver.submit(1, hours(9)), shorter = driver.submit(1, hours(5));
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{shorter});
  EXPECT_EQ(driver.attempt(shorter).attempt, 1);
  EXPECT_EQ(driver.planned(longer).reason.code, ReasonCode::priority);
}

TEST(Backfill, EasySjfCountsAllJobsAheadThatDontStart) {
  // Whoever is tried after a shorter one may be ahead of it, and then starts in the same round or not.
  Driver driver(cluster_of(1, 8), textbook("submit_time", "easy_sjf"));
  driver.submit(4, hours(1));
  driver.round();
  driver.submit(6, hours(1));
  const JobId longest = driver.submit(2, hours(9)), long_one = driver.submit(1, hours(5)), short_one = driver.submit(1, hours(2));
  driver.submit(spec_of({.gpus = 9}, hours(1)));  // it can't run at all: nobody overtakes it
  const JobId shortest = driver.submit(2, hours(1));
  for (const JobId job : {short_one, shortest}) EXPECT_TRUE(driver.planned(job).backfilled);
  EXPECT_FALSE(driver.planned(longest).backfilled);
  std::map<JobId, std::int64_t> overtaken;
  for (const Decision& decision : driver.round())
    if (const auto* start = std::get_if<StartJob>(&decision)) {
      overtaken[start->job] = start->overtaken;
      EXPECT_TRUE(start->backfilled);
    }
  EXPECT_EQ(overtaken, (std::map<JobId, std::int64_t>{{long_one, 2}, {short_one, 2}, {shortest, 2}}));
}

TEST(Order, ShortestServesTheShortestTimeLimit) {
  Driver driver(cluster_of(1, 8), textbook("shortest", "none"));
  driver.submit(8, hours(1));
  driver.round();
  const JobId longer = driver.submit(8, hours(3)), shorter = driver.submit(8, hours(2));
  EXPECT_EQ(driver.planned(shorter).position, 1);
  EXPECT_EQ(driver.planned(longer).position, 2);
}

/// Both rounds of one instant: who yields gives back its devices in between.
std::vector<JobId> preempting_rounds(Driver& driver) {
  std::vector<JobId> started;
  for (const Decision& decision : driver.round()) {
    if (const auto* preempt = std::get_if<PreemptJob>(&decision)) driver.end(preempt->job, Outcome::preempted);
    if (const auto* start = std::get_if<StartJob>(&decision)) started.push_back(start->job);
  }
  for (const JobId job : driver.start_round()) started.push_back(job);
  for (const JobId job : started) driver.run(job);
  return started;
}

TEST(Preemption, ARunningJobYieldsToOneWithLessLeft) {
  Driver driver(cluster_of(1, 8), textbook("least_remaining", "skip", "by_order"));
  const JobId first = driver.submit(8, hours(3));
  EXPECT_EQ(preempting_rounds(driver), std::vector<JobId>{first});
  driver.now = driver.now + hours(1);
  const JobId equal = driver.submit(8, hours(2));  // as long as is left of the first, which came before
  EXPECT_TRUE(driver.round().empty());
  const JobId shorter = driver.submit(4, hours(1));
  const auto decisions = driver.scheduler.decide(driver.now);
  ASSERT_EQ(decisions.size(), 1u);
  EXPECT_EQ(std::get<PreemptJob>(decisions[0]).job, first);
  EXPECT_EQ(preempting_rounds(driver), std::vector<JobId>{shorter});
  EXPECT_EQ(driver.state(first), JobState::queued);
  EXPECT_TRUE(driver.round().empty());
  driver.now = driver.now + hours(1);
  driver.end(shorter);
  EXPECT_EQ(preempting_rounds(driver), std::vector<JobId>{first});
  EXPECT_EQ(driver.state(equal), JobState::queued);
}

TEST(Preemption, GpuTimeCountsWhatIsLeftTimesGpus) {
  Driver driver(cluster_of(1, 8), textbook("least_remaining_gpu_time", "skip", "by_order"));
  const JobId first = driver.submit(8, hours(1));
  preempting_rounds(driver);
  const JobId small = driver.submit(1, hours(7));
  EXPECT_EQ(preempting_rounds(driver), std::vector<JobId>{small});
  EXPECT_EQ(driver.state(first), JobState::queued);
}

TEST(Preemption, AttainedServiceGoesDownALevelAtEachThreshold) {
  // 8 GPUs attain 100 GPU-seconds in 12.5 s; the first whole second after that is when a newcomer's turn comes.
  Driver driver(cluster_of(1, 8), textbook("least_attained", "skip", "by_order"));
  const JobId first = driver.submit(8, hours(1));
  preempting_rounds(driver);
  const JobId second = driver.submit(8, hours(1));
  EXPECT_TRUE(driver.round().empty());
  EXPECT_EQ(driver.scheduler.next_wakeup(driver.now), driver.now + seconds(13));
  driver.now = driver.now + seconds(13);
  EXPECT_EQ(preempting_rounds(driver), std::vector<JobId>{second});
  EXPECT_EQ(driver.state(first), JobState::queued);
}

TEST(Preemption, WhoHasAnotherPlaceThanItRunsInYieldsFirst) {
  // By order the large job takes the empty node1 and the small one what is left; it ran on node1.
  Driver driver(cluster_of(2, 8), textbook("least_remaining", "skip", "by_order"));
  const JobId small = driver.submit(2, hours(5));
  preempting_rounds(driver);
  EXPECT_EQ(in_words(driver.attempt(small).allocation), "node1:0,1");
  const JobId large = driver.submit(8, hours(1));
  EXPECT_EQ(preempting_rounds(driver), (std::vector<JobId>{large, small}));
  EXPECT_EQ(in_words(driver.attempt(large).allocation), "node1:0,1,2,3,4,5,6,7");
  EXPECT_EQ(in_words(driver.attempt(small).allocation), "node2:0,1");
}

TEST(Reason, FragmentationWhenTheSumIsThereButNotTheShape) {
  Driver driver(cluster_of(2, 8));
  driver.submit(2, 5, hours(1));  // 3 are left on each node
  driver.round();
  const PlannedJob line = driver.planned(driver.submit(4, minutes(1)));
  EXPECT_EQ(line.reason.code, ReasonCode::fragmentation);
  EXPECT_EQ(line.reason.gpus_free, 6);
  EXPECT_EQ(line.reason.gpus_asked, 4);
}

TEST(Reason, AtMostFiveAreNamedEarliestEndFirst) {
  Driver driver(cluster_of(1, 8));
  std::vector<JobId> running;
  for (int i = 8; i >= 1; --i) running.push_back(driver.submit(1, hours(i)));
  driver.round();
  const PlannedJob line = driver.planned(driver.submit(8, hours(1)));
  EXPECT_EQ(line.reason.waits_for, (std::vector<JobId>{running[7], running[6], running[5], running[4], running[3]}));
}

TEST(Reason, SilentNodesGiveNothingAndAreNamedAsTheReason) {
  Driver driver(cluster_of(2, 8));
  driver.apply(NodeSuspected{"node2", {}});
  const JobId large = driver.submit(16, hours(1));
  const JobId small = driver.submit(8, hours(1));
  EXPECT_EQ(driver.planned(large).reason.code, ReasonCode::nodes_missing);
  EXPECT_FALSE(driver.planned(large).start_ms);
  EXPECT_EQ(driver.planned(large).reason.gpus_free, 8);
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{small});
  EXPECT_TRUE(driver.attempt(small).backfilled);
  driver.end(small);
  driver.join("node2");
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{large});
}

TEST(Plan, AnOverdueJobKeepsItsDevicesUntilItEnds) {
  // Its end is assumed to be a second away, again and again; nobody starts on a device that is still held.
  Driver driver(cluster_of(1, 8));
  const JobId overdue = driver.submit(8, minutes(1));
  driver.round();
  const JobId next = driver.submit(8, hours(1));
  EXPECT_EQ(driver.scheduler.next_wakeup(driver.now), driver.now + minutes(1) + launch_allowance);
  for (const Duration later : {minutes(1) + launch_allowance, minutes(2), hours(50)}) {
    driver.now = driver.now + later;
    EXPECT_TRUE(driver.scheduler.decide(driver.now).empty());
    EXPECT_EQ(driver.start_in_ms(next), 1000);
    EXPECT_EQ(driver.scheduler.next_wakeup(driver.now), driver.now + seconds(1));
  }
  driver.end(overdue);
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{next});
}

TEST(Wakeup, NobodyQueuedMeansNothingToWakeUpFor) {
  Driver driver(cluster_of(1, 8));
  EXPECT_FALSE(driver.scheduler.next_wakeup(driver.now));
  driver.submit(8, hours(1));
  driver.round();
  EXPECT_FALSE(driver.scheduler.next_wakeup(driver.now));
}

TEST(Decide, ARoundThatWasAppliedLeavesNothingToDecide) {
  Driver driver(cluster_of(2, 8));
  driver.submit(8, hours(1));
  driver.submit(16, hours(1));
  EXPECT_EQ(driver.round().size(), 1u);
  EXPECT_TRUE(driver.round().empty());
  EXPECT_EQ(driver.scheduler.state().rounds, 1);
}

TEST(Decide, AJobThatTheClusterCanNeverRunAgainIsRejectedWithTheReason) {
  Driver driver(cluster_of(2, 8));
  driver.submit(8, 8, hours(1));  // impossible from the start: as after a change of the cluster file
  const JobId large = driver.submit(16, hours(1));
  driver.apply(ClusterConfigured{cluster_of(1, 8), {}});
  EXPECT_EQ(driver.planned(large).reason.code, ReasonCode::never_fits);
  const auto decisions = driver.round();
  ASSERT_EQ(decisions.size(), 2u);
  EXPECT_EQ(std::get<RejectJob>(decisions[1]).detail, "16 GPUs asked, partition main has 8; ask for at most 8");
  EXPECT_EQ(driver.state(large), JobState::failed);
  EXPECT_EQ(driver.attempt(large).failure->detail, "16 GPUs asked, partition main has 8; ask for at most 8");
}

TEST(Decide, ImpossibleJobsAreFoundEvenWhenNothingIsFree) {
  Driver driver(cluster_of(2, 8));
  driver.submit(16, hours(1));
  driver.round();
  driver.submit(8, hours(1));
  driver.submit(spec_of({.gpus = 17}, hours(1)));
  const auto decisions = driver.round();
  ASSERT_EQ(decisions.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<RejectJob>(decisions[0]));
}

TEST(Plan, PartitionsShareTheirNodesButNotTheirNeighbours) {
  ClusterConfig cluster = cluster_of(3, 4);
  cluster.partitions.push_back({.name = "debug", .nodes = {"node3", "node2", "nowhere"}});
  Driver driver(cluster);
  JobSpec spec = spec_of({.gpus = 8}, hours(1));
  spec.partition = "debug";
  const JobId debug = driver.submit(spec);
  const JobId rest = driver.submit(4, hours(1));
  driver.round();
  EXPECT_EQ(in_words(driver.attempt(debug).allocation), "node2:0,1,2,3 node3:0,1,2,3");
  EXPECT_EQ(in_words(driver.attempt(rest).allocation), "node1:0,1,2,3");
}

TEST(Plan, NodesOfDifferentSizes) {
  // Whole parts need the largest nodes; the remainder may go to a small one.
  ClusterConfig cluster = cluster_of(2, 8);
  cluster.nodes.push_back({.name = "small", .gpus = 4});
  Driver driver(cluster);
  const JobId job = driver.submit(12, hours(1));
  driver.round();
  EXPECT_EQ(in_words(driver.attempt(job).allocation), "node1:0,1,2,3,4,5,6,7 small:0,1,2,3");
}

TEST(Plan, HeldJobsComeLastAndHaveNoStart) {
  ClusterConfig cluster = cluster_of(1, 8);
  cluster.partitions.push_back({.name = "debug"});
  Driver driver(cluster);
  JobSpec spec = spec_of({.gpus = 1}, hours(1));
  spec.partition = "debug";
  const JobId held = driver.submit(spec);
  driver.apply(ClusterConfigured{cluster_of(1, 8), {}});
  const JobId other = driver.submit(8, hours(1));
  const Plan plan = driver.scheduler.plan(driver.now);
  ASSERT_EQ(plan.jobs.size(), 2u);
  EXPECT_EQ(plan.jobs[0].job, other);
  EXPECT_EQ(plan.jobs[1].job, held);
  EXPECT_EQ(plan.jobs[1].reason.code, ReasonCode::held);
  EXPECT_FALSE(plan.jobs[1].start_ms);
}

TEST(Planner, ToDecideItPlacesAsItPlans) {
  PolicyConfig policy;
  policy.launch_allowance_ms = {};
  Driver driver(cluster_of(3, 2), policy);
  const auto on = [&](const std::string& node, std::int64_t limit_s) {
    JobSpec spec = spec_of({.gpus = 1}, seconds(limit_s));
    spec.only_nodes = {node};
    return driver.submit(spec);
  };
  on("node2", 100), on("node2", 100), on("node3", 200);
  driver.round();
  driver.submit(3, 1, seconds(50));  // in 100 s, on all nodes
  const JobId ahead = driver.submit(1, seconds(150)), next = driver.submit(1, seconds(90));
  for (const JobId id : {ahead, next}) driver.apply(JobHeld{id, HoldKind::user, "", ada});
  const JobId gone = on("node1", 60);
  const JobId behind = on("node1", 50);
  driver.round();
  driver.run(gone), driver.end(gone);
  for (const JobId id : {ahead, next}) driver.apply(JobReleased{id, ada});
  ASSERT_EQ(in_words(driver.attempt(behind).allocation), "node1:1");
  ASSERT_EQ(driver.start_in_ms(ahead), 50'000) << "where the job behind it is";
  ASSERT_EQ(in_words(driver.planned(next).allocation), "node1:0");
  ASSERT_EQ(driver.start_round(), std::vector<JobId>{next});
  EXPECT_EQ(in_words(driver.attempt(next).allocation), "node1:0");
}

TEST(Policy, UnknownNamesAreNamedAndTheFirstOfTheTableIsUsed) {
  PolicyConfig policy;
  EXPECT_TRUE(policy::unknown_names(policy).empty());
  policy.order = "fastest";
  policy.backfill = "hard";
  EXPECT_EQ(policy::unknown_names(policy),
            (std::vector<std::string>{"order: no \"fastest\"; there is submit_time, multifactor, shortest, least_remaining, least_remaining_gpu_time, least_attained",
                                      "backfill: no \"hard\"; there is conservative, none, skip, easy, easy_sjf"}));
  Driver driver(cluster_of(1, 8), policy);
  const JobId job = driver.submit(1, hours(1));
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{job});
}

}  // namespace
}  // namespace ultramarine::core
