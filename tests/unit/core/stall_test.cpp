// When a gang counts as hanging, whom the scheduler names for it, and what follows: tables of what nodes may say, and random stories.
#include "scheduler/core/stall.h"

#include <gtest/gtest.h>

#include "tests/unit/core/builders.h"

namespace ultramarine::core {
namespace {

/// A rank that waits actively, or sleeps.
RankStillness spinning(std::int64_t rank) {
  return {.rank = rank, .pid = 100 + rank, .program = "train", .state = "R", .cpu_ms = {400}, .look_ms = {1000}};
}
RankStillness sleeping(std::int64_t rank, std::int64_t call = 7, const std::string& wait = "do_sys_poll") {
  return {.rank = rank, .pid = 100 + rank, .program = "train", .state = "S", .cpu_ms = {0}, .look_ms = {1000}, .wait = wait, .system_call = call};
}
RankStillness in_state(RankStillness rank, const std::string& state) {
  rank.state = state;
  rank.cpu_ms = {0};
  return rank;
}
RankStillness at_step(RankStillness rank, std::int64_t step, std::int64_t stride = 1) {
  rank.step = step;
  rank.step_stride = stride;
  return rank;
}
RankStillness with_collectives(RankStillness rank, std::int64_t count) {
  rank.collective = count;
  return rank;
}

constexpr std::int64_t ranks_per_node = 2;
std::string node_of(std::int64_t rank) { return "node" + std::to_string(rank / ranks_per_node + 1); }

struct Scene {
  Allocation allocation;
  std::map<std::string, GangStillness> stillness;
};
Scene scene(const std::vector<RankStillness>& ranks) {
  Scene made;
  for (const RankStillness& rank : ranks) {
    const std::string node = node_of(rank.rank);
    if (!made.stillness.contains(node)) made.allocation.push_back({node, {0, 1}});
    GangStillness& said = made.stillness[node];
    said.watched = said.over = true;
    said.still_ms = {15'240 + rank.rank};
    said.ranks.push_back(rank);
  }
  return made;
}

struct Case {
  const char* what;
  std::vector<RankStillness> ranks;
  std::int64_t culprit;
  std::string says;
};

TEST(Hang, TheCulpritIsWhoDiffersFromTheOthers) {
  std::vector<Case> cases{
      {"stopped, all others wait actively", {spinning(0), spinning(1), in_state(spinning(2), "T"), spinning(3)}, 2, "its process train (pid 102) is stopped (SIGSTOP)"},
      {"stopped, all others sleep as it did", {sleeping(0), in_state(sleeping(1), "T"), sleeping(2), sleeping(3)}, 1, "is stopped"},
      {"stopped, although another is behind in what it reported", {at_step(sleeping(0), 8), at_step(in_state(sleeping(1), "T"), 9), at_step(sleeping(2), 9)}, 1, "is stopped"},
      {"held by a debugger", {spinning(0), in_state(spinning(1), "t"), spinning(2)}, 1, "is held by a debugger"},
      {"two are stopped: the one that has come less far", {at_step(in_state(spinning(0), "T"), 9), at_step(in_state(spinning(1), "T"), 8), spinning(2)}, 1, ", and so is it with another rank"},
      {"stopped before waiting for a device", {in_state(sleeping(0), "D"), in_state(sleeping(1), "T"), sleeping(2)}, 1, "is stopped"},
      {"waits for a device", {spinning(0), spinning(1), in_state(sleeping(2, -1, "nfs_wait_bit_killable"), "D")}, 2, "waits for a device or a file system in nfs_wait_bit_killable"},
      {"its main thread is gone", {spinning(0), spinning(1), in_state(sleeping(2), "Z")}, 2, "the main thread of its process train (pid 102) has ended"},
      {"one is a step behind", {at_step(spinning(0), 9), at_step(spinning(1), 8), at_step(spinning(2), 9)}, 1, "it has not got beyond step 8, and all others have"},
      {"a step behind means nothing to who reports every tenth", {at_step(spinning(0), 90, 10), at_step(spinning(1), 81, 10), at_step(spinning(2), 90, 10)}, -1, "wait for each other"},
      {"but ten do", {at_step(spinning(0), 90, 10), at_step(spinning(1), 80, 10), at_step(spinning(2), 90, 10)}, 1, "step 80"},
      {"only one of them reports: that says nothing of the others", {at_step(spinning(0), 9), spinning(1), spinning(2)}, -1, "wait for each other"},
      {"as many steps, fewer collectives",
       {with_collectives(at_step(spinning(0), 9), 41), with_collectives(at_step(spinning(1), 9), 41), with_collectives(at_step(spinning(2), 9), 40)}, 2, "it has completed 40 collectives"},
      {"of two that are behind, the one with fewer collectives",
       {with_collectives(at_step(spinning(0), 8), 40), with_collectives(at_step(spinning(1), 8), 39), with_collectives(at_step(spinning(2), 9), 41)}, 1, "39 collectives"},
      {"sleeps while all others wait actively", {spinning(0), spinning(1), spinning(2), sleeping(3, 230, "hrtimer_nanosleep")}, 3, "it sleeps in hrtimer_nanosleep, using no CPU, while all others wait actively"},
      {"works while all others sleep", {sleeping(0), spinning(1), sleeping(2), sleeping(3)}, 1, "it works while all others sleep"},
      {"sleeps elsewhere than all others", {sleeping(0), sleeping(1), sleeping(2, 230, "hrtimer_nanosleep"), sleeping(3)}, 2, "while all others wait elsewhere"},
      {"two of them differ", {spinning(0), spinning(1), sleeping(2), sleeping(3)}, -1, "the ranks wait for each other: no rank has finished a step for 15.2 s"},
      {"of two ranks nobody can tell who waits", {spinning(0), sleeping(1)}, -1, "wait for each other"},
      {"all do the same", {spinning(0), spinning(1), spinning(2)}, -1, "wait for each other"},
      {"two are behind, and do the same", {at_step(spinning(0), 8), at_step(spinning(1), 8), at_step(spinning(2), 9)}, -1, "(ranks 0 and 1 are behind all others)"},
      {"a rank alone", {spinning(0)}, 0, "it works without getting on"},
  };
  for (const Case& one : cases) {
    const Scene made = scene(one.ranks);
    const auto hang = hang_of(made.allocation, made.stillness, Time{5});
    ASSERT_TRUE(hang) << one.what;
    EXPECT_EQ(hang->rank, one.culprit) << one.what << ": " << hang->detail;
    EXPECT_EQ(hang->node, one.culprit < 0 ? "" : node_of(one.culprit)) << one.what;
    EXPECT_NE(hang->detail.find(one.says), std::string::npos) << one.what << ": " << hang->detail;
    EXPECT_NE(hang->detail.find("no rank has finished a step for 15.2 s"), std::string::npos) << hang->detail;
    EXPECT_EQ(hang->at_ms, Time{5});
  }
}

TEST(Hang, AllNodesMustSayThatNothingGoesOn) {
  const Scene whole = scene({spinning(0), spinning(1), in_state(spinning(2), "T"), spinning(3)});
  ASSERT_TRUE(hang_of(whole.allocation, whole.stillness, Time{}));
  for (const char* node : {"node1", "node2"}) {
    Scene one = whole;
    one.stillness.erase(node);
    EXPECT_FALSE(hang_of(one.allocation, one.stillness, Time{})) << node << " has said nothing";
    one = whole;
    one.stillness.at(node).over = false;
    EXPECT_FALSE(hang_of(one.allocation, one.stillness, Time{})) << "it is not yet too long on " << node;
    one = whole;
    one.stillness.at(node).watched = false;
    EXPECT_TRUE(hang_of(one.allocation, one.stillness, Time{})) << "it is enough that one of them reports steps";
  }
  Scene none = whole;
  for (auto& [node, said] : none.stillness) said.watched = false;
  EXPECT_FALSE(hang_of(none.allocation, none.stillness, Time{})) << "programs that report no steps are not judged";
}

TEST(Hang, TheJobsWordIsStrongerThanTheClusters) {
  ClusterConfig cluster;
  JobSpec spec;
  EXPECT_EQ(hang_settings(cluster, spec), HangConfig{});
  spec.hang_after_ms = minutes(3);
  EXPECT_EQ(hang_settings(cluster, spec).after_ms, minutes(3));
  spec.hang_after_ms = never_hangs;
  EXPECT_FALSE(hang_settings(cluster, spec).detect);
  cluster.hang.detect = false;
  spec.hang_after_ms = {};
  EXPECT_FALSE(hang_settings(cluster, spec).detect);
  spec.hang_after_ms = seconds(20);
  EXPECT_TRUE(hang_settings(cluster, spec).detect);
}

TEST(Hang, OnceARankHasEndedItTakesFourTimesAsLongWhetherTheOthersSleepOrSpin) {
  const std::vector<EndedRank> ended{{1, "node1"}, {3, "node2"}};
  const auto judged = [&](std::vector<RankStillness> ranks, std::int64_t still_ms) {
    Scene one = scene(ranks);
    for (auto& [node, said] : one.stillness) said.still_ms = {still_ms}, said.limit_ms = {15'000};
    return hang_of(one.allocation, one.stillness, Time{}, ended);
  };
  EXPECT_FALSE(judged({sleeping(0), sleeping(2)}, 59'999)) << "it may have something to do that takes long";
  const auto hang = judged({sleeping(0), sleeping(2)}, 60'000);
  ASSERT_TRUE(hang);
  EXPECT_EQ(hang->rank, 1);
  EXPECT_EQ(hang->node, "node1");
  EXPECT_EQ(hang->detail, "rank 1 on node1 ended early, with code 0 as did another rank, and those that run only wait: no rank has finished a step for 60.0 s");
  EXPECT_FALSE(judged({spinning(0), spinning(2)}, 59'999));
  const auto spun = judged({spinning(0), spinning(2)}, 60'000);
  ASSERT_TRUE(spun) << "in a collective of NCCL ranks wait with all their might";
  EXPECT_EQ(spun->rank, 1);
  EXPECT_EQ(spun->detail, "rank 1 on node1 ended early, with code 0 as did another rank, and those that run get no further: no rank has finished a step for 60.0 s");
  const auto stopped = judged({sleeping(0), in_state(sleeping(2), "T")}, 15'000);
  ASSERT_TRUE(stopped);
  EXPECT_EQ(stopped->rank, 2) << "who is stopped is to blame, at once";
}

/// A job of 16 GPUs that runs on two nodes.
class Stall : public testing::Test {
 protected:
  explicit Stall(bool stop = true, std::int64_t max_restarts = 0) {
    ClusterConfig cluster = cluster_of(2, 8);
    cluster.hang.stop = stop;
    driver.apply(ClusterConfigured{cluster, {}});
    JobSpec spec = spec_of({.gpus = 16}, hours(1));
    spec.max_restarts = max_restarts;
    id = driver.submit(spec);
    key = {id, 1, 1};
    driver.round();
    for (const char* node : {"node1", "node2"}) report(node, GangPhase::running);
    EXPECT_EQ(step(), std::vector<std::string>{"gang_started"});
  }
  void report(const std::string& node, GangPhase phase) {
    liveness.nodes[node].connected = true;
    liveness.nodes[node].last_heard_ms = driver.now;
    liveness.nodes[node].known_gangs = {key};
    liveness.gangs[key].nodes[node] = {.key = key, .phase = phase};
  }
  std::vector<std::string> say(const std::string& node, bool over, bool watched = true, const std::string& state = "S") {
    GangStillness said{.key = key, .watched = watched, .over = over, .still_ms = {15'000}, .limit_ms = {15'000}};
    for (std::int64_t rank = node == "node1" ? 0 : 8; said.ranks.size() < 8; ++rank) said.ranks.push_back(sleeping(rank));
    said.ranks.back().state = state;
    return note_stillness(driver.job(id), node, said, liveness);
  }
  /// Its ranks but the first have ended, with code 0, and for so long nothing has happened.
  void say_only_its_first_runs(const std::string& node, Duration still) {
    GangStillness said{.key = key, .watched = true, .over = true, .still_ms = still, .limit_ms = {15'000}};
    said.ranks.push_back(sleeping(node == "node1" ? 0 : 8));
    note_stillness(driver.job(id), node, said, liveness);
  }
  void goes_on(const std::string& node) { note_stillness(driver.job(id), node, {.key = key}, liveness); }
  std::vector<std::string> step() {
    std::vector<std::string> types;
    for (const Event& event : due_events(driver.scheduler.state(), liveness, driver.now)) {
      types.push_back(std::visit([](const auto& e) { return std::string(e.type); }, event));
      driver.apply(to_entry(event));
    }
    return types;
  }
  using Words = std::vector<std::string>;

  Driver driver{cluster_of(2, 8)};
  JobId id;
  GangKey key;
  Liveness liveness;
};
class StallThatIsOnlySaid : public Stall {
 protected:
  StallThatIsOnlySaid() : Stall(false) {}
};
class StallOfOneToRestart : public Stall {
 protected:
  StallOfOneToRestart() : Stall(true, 1) {}
};

TEST_F(Stall, StopsTheJobAndNamesTheRank) {
  EXPECT_EQ(say("node1", true), Words{"node2"}) << "the other node is asked";
  EXPECT_EQ(step(), Words{});
  EXPECT_EQ(say("node2", true, true, "T"), Words{});
  EXPECT_EQ(step(), Words{"gang_stalled"});
  ASSERT_EQ(driver.state(id), JobState::stopping);
  EXPECT_EQ(driver.attempt(id).failure->rank, 15);
  EXPECT_EQ(driver.attempt(id).failure->node, "node2");
  EXPECT_EQ(launch_step(driver.scheduler.state(), liveness, key, "node1"), LaunchStep::stop);
  EXPECT_EQ(step(), Words{}) << "once";
  for (const char* node : {"node1", "node2"}) report(node, GangPhase::finished);
  EXPECT_EQ(step(), (Words{"gang_finished", "attempt_ended"}));
  EXPECT_EQ(driver.state(id), JobState::failed);
  EXPECT_EQ(driver.attempt(id).outcome, Outcome::stalled);
}

TEST_F(StallOfOneToRestart, IsAFailureLikeAnyOther) {
  say("node1", true), say("node2", true, true, "T");
  step();
  for (const char* node : {"node1", "node2"}) report(node, GangPhase::finished);
  step();
  EXPECT_EQ(driver.state(id), JobState::queued);
  EXPECT_EQ(driver.job(id).restarts, 1);
  EXPECT_EQ(driver.job(id).avoided_nodes, Words{"node2"});
}

TEST_F(Stall, ANodeWhoseRanksReportNothingIsAskedUntilItAgrees) {
  EXPECT_EQ(say("node1", false), Words{"node2"});
  EXPECT_EQ(say("node2", false, false), Words{}) << "it asks nobody: its ranks report nothing";
  EXPECT_EQ(say("node1", true), Words{"node2"}) << "a phase may have been declared there";
  EXPECT_EQ(step(), Words{});
  say("node2", true, false);
  EXPECT_EQ(step(), Words{"gang_stalled"});
}

TEST_F(Stall, WhatWasSaidCountsForOneStopOnly) {
  say("node2", true, false);
  say("node1", false);
  goes_on("node1");
  EXPECT_TRUE(liveness.gangs.at(key).stillness.empty());
  EXPECT_EQ(say("node1", true), Words{"node2"});
  EXPECT_EQ(step(), Words{});
}

TEST_F(Stall, NothingIsConcludedWhileANodeIsSilentOrTheGangEnds) {
  say("node1", true), say("node2", true);
  driver.apply(NodeSuspected{"node2", {}});
  EXPECT_EQ(step(), Words{});
  driver.apply(NodeJoined{"node2", "", "", "", {}});
  report("node1", GangPhase::finished);
  EXPECT_EQ(step(), Words{}) << "one node has done its part, and 15 s are not long then";
  report("node1", GangPhase::running);
  driver.apply(JobCancelled{id, {}});
  EXPECT_EQ(step(), Words{}) << "it is being stopped";
}

TEST_F(Stall, ANodeWhoseRanksHaveEndedEarlyIsMissed) {
  report("node2", GangPhase::finished);
  say("node1", true);
  EXPECT_EQ(step(), Words{});
  say_only_its_first_runs("node1", minutes(1));
  EXPECT_EQ(step(), Words{"gang_stalled"});
  EXPECT_EQ(driver.attempt(id).failure->rank, 1);
  EXPECT_NE(driver.attempt(id).failure->detail.find("rank 1 on node1 ended early, with code 0 as did 14 others"), std::string::npos)
      << driver.attempt(id).failure->detail;
}

TEST_F(StallThatIsOnlySaid, IsShownUntilItIsOver) {
  say("node1", true), say("node2", true, true, "T");
  EXPECT_EQ(step(), Words{"gang_stalled"});
  EXPECT_EQ(driver.state(id), JobState::running);
  ASSERT_EQ(driver.attempt(id).gangs.size(), 1u);
  EXPECT_EQ(driver.attempt(id).gangs.front().stall->rank, 15);
  EXPECT_EQ(step(), Words{});
  goes_on("node2");
  EXPECT_EQ(step(), Words{"gang_went_on"});
  EXPECT_FALSE(driver.attempt(id).gangs.front().stall);
  EXPECT_EQ(step(), Words{});
}

TEST(Hang, InRandomStoriesNobodyIsAccusedWhileAnyNodeGoesOnAndAStoppedRankAlwaysIs) {
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    Random random(seed);
    std::vector<RankStillness> ranks;
    const std::int64_t count = random.between(2, 16), stopped = random.between(0, count - 1);
    const bool sleeps = random.chance(500), reports = random.chance(500);
    for (std::int64_t rank = 0; rank < count; ++rank) {
      RankStillness seen = sleeps ? sleeping(rank) : spinning(rank);
      if (!sleeps) seen.cpu_ms = {random.between(10, 900)};
      if (reports) seen = at_step(seen, 100 + random.between(0, 1));
      ranks.push_back(rank == stopped ? in_state(seen, "T") : seen);
    }
    Scene made = scene(ranks);
    const auto hang = hang_of(made.allocation, made.stillness, Time{});
    ASSERT_TRUE(hang) << "seed " << seed;
    EXPECT_EQ(hang->rank, stopped) << "seed " << seed << ": " << hang->detail;
    auto goes_on = std::next(made.stillness.begin(), random.between(0, static_cast<std::int64_t>(made.stillness.size()) - 1));
    if (random.chance(500)) goes_on->second.over = false;
    else made.stillness.erase(goes_on);
    EXPECT_FALSE(hang_of(made.allocation, made.stillness, Time{})) << "seed " << seed;
  }
}

}  // namespace
}  // namespace ultramarine::core
