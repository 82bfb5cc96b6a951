// Seeded random walks through submissions, cancels, silence, failures and restarts. ULTRAMARINE_SEED=n walks that seed alone;
// ULTRAMARINE_SLOW=1 walks many more.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include "scheduler/core/hasher.h"
#include "tests/simulation/core/world.h"

namespace ultramarine::core {
namespace {

struct Walks {
#ifdef ULTRAMARINE_SANITIZED
  std::uint64_t first = 1, count = 5;  // ten times as slow
#else
  std::uint64_t first = 1, count = 30;
#endif
  int steps = 2500;
  bool slow = false;
};

Walks walks() {
  Walks walks;
  if (const char* slow = std::getenv("ULTRAMARINE_SLOW"); slow && std::string(slow) == "1") walks = {1, 200, 2500, true};
  if (const char* seed = std::getenv("ULTRAMARINE_SEED")) walks.first = std::strtoull(seed, nullptr, 10), walks.count = 1;
  return walks;
}

/// Folds the journal anew and compares with the live run after every entry; also derives every decision again.
void expect_same_replay(const World& world) {
  Scheduler replayed;
  std::size_t entries = 0;
  for (const World::Record& record : world.journal()) {
    if (const auto* round = std::get_if<Round>(&record.entry)) {
      ASSERT_EQ(round->now_ms, record.at);
      ASSERT_EQ(replayed.decide(record.at), round->decisions) << "the decisions of entry " << entries + 1 << " can't be derived again";
      ASSERT_EQ(replayed.policy_hash(), round->policy_hash);
    }
    replayed.apply(record.at, record.entry);
    ++entries;
    ASSERT_EQ(replayed.state_hash(), record.hash_after) << "after entry " << entries;
  }
}

/// A snapshot taken at any point, and the entries after it, lead to the same states.
void expect_same_from_snapshots(const World& world) {
  for (const auto& [entries, state] : world.snapshots()) {
    Scheduler restored(state);
    ASSERT_EQ(restored.state_hash(), world.journal()[entries - 1].hash_after);
    for (std::size_t index = entries; index < world.journal().size(); ++index) restored.apply(world.journal()[index].at, world.journal()[index].entry);
    ASSERT_EQ(restored.state_hash(), world.scheduler().state_hash()) << "from the snapshot after entry " << entries;
  }
}

TEST(RandomWalk, InvariantsHoldEveryJobEndsAndEveryReplayMeetsTheSameStates) {
  const Walks plan = walks();
  std::size_t entries = 0, jobs = 0, snapshots = 0, gangs = 0, never = 0, elements = 0, dependents = 0;
  Hasher all;  // the same on every compiler
  std::map<JobState, int> ends;
  std::map<Outcome, int> outcomes, gang_outcomes;
  int script_ended_first = 0, trials = 0;
  for (std::uint64_t seed = plan.first; seed < plan.first + plan.count; ++seed) {
    World world(seed);
    SCOPED_TRACE("seed " + std::to_string(seed) + " (" + world.faults_in_words() + "); again with: " + (plan.slow ? "ULTRAMARINE_SLOW=1 " : "") + "ULTRAMARINE_SEED=" + std::to_string(seed) +
                 " ultramarine_core_simulation --gtest_filter=RandomWalk.Invariants*");
    for (int step = 0; step < plan.steps && world.complaints().empty(); ++step) world.step();
    ASSERT_TRUE(world.complaints().empty()) << world.complaints().front();
    world.heal();
    ASSERT_TRUE(world.complaints().empty()) << world.complaints().front();
    ASSERT_NO_FATAL_FAILURE(expect_same_replay(world));
    ASSERT_NO_FATAL_FAILURE(expect_same_from_snapshots(world));
    all.add(world.scheduler().state_hash());
    entries += world.journal().size();
    snapshots += world.snapshots().size();
    never += world.cancelled_as_never();
    jobs += world.scheduler().state().jobs.size();
    for (const auto& [id, job] : world.scheduler().state().jobs) {
      ++ends[job.state];
      elements += job.array ? 1 : 0;
      dependents += job.eligible_ms && job.state == JobState::completed ? 1 : 0;
      for (const Attempt& attempt : job.attempts) {
        ++outcomes[*attempt.outcome];
        trials += attempt.trial_ms ? 1 : 0;
        for (const Gang& gang : attempt.gangs) {
          if (gang.gang == 1) continue;
          ++gang_outcomes[*gang.outcome];
          ++gangs;
          if (gang.outcome == Outcome::cancelled && !gang.stop_requested && attempt.outcome == Outcome::succeeded) ++script_ended_first;
        }
      }
    }
  }
  std::cout << "seeds " << plan.first << " to " << plan.first + plan.count - 1 << ": " << jobs << " jobs, " << entries << " entries, " << snapshots
            << " snapshots, " << gangs << " gangs of ultra run, " << elements << " elements of arrays, " << dependents << " jobs ran after others; hash of all walks " << all.hex() << "\n";
  if (plan.count < 30) return;  // too few to go everywhere; the release build, with the same seeds, does
  // The walks must go where the dangers are.
  for (const JobState state : {JobState::completed, JobState::failed, JobState::cancelled}) EXPECT_GT(ends[state], 0);
  for (const Outcome outcome : {Outcome::succeeded, Outcome::failed, Outcome::cancelled, Outcome::preempted, Outcome::node_lost, Outcome::start_failed,
                                Outcome::stalled, Outcome::supervisor_lost})
    EXPECT_GT(outcomes[outcome], 0) << static_cast<int>(outcome);
  for (const Outcome outcome : {Outcome::succeeded, Outcome::failed, Outcome::cancelled, Outcome::preempted, Outcome::node_lost, Outcome::start_failed,
                                Outcome::supervisor_lost})
    EXPECT_GT(gang_outcomes[outcome], 0) << "of a gang of ultra run: " << static_cast<int>(outcome);
  EXPECT_GT(script_ended_first, 0);
  EXPECT_GT(trials, 0);
  EXPECT_GT(elements, 0u);
  EXPECT_GT(dependents, 0u);
  EXPECT_GT(never, 0u);
}

TEST(RandomWalk, TheSameSeedWalksTheSameWay) {
  World first(7), second(7);
  for (int step = 0; step < 200; ++step) first.step(), second.step();
  ASSERT_EQ(first.journal().size(), second.journal().size());
  for (std::size_t index = 0; index < first.journal().size(); ++index) ASSERT_EQ(first.journal()[index].hash_after, second.journal()[index].hash_after);
}

}  // namespace
}  // namespace ultramarine::core
