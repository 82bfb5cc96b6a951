// Trials: who gets his first minutes at once, on what, and that nobody's planned start moves for it.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "scheduler/core/lifecycle.h"
#include "scheduler/core/limits.h"
#include "scheduler/core/planner.h"
#include "scheduler/core/slips.h"
#include "tests/unit/core/builders.h"
#include "tests/support/counts.h"

namespace ultramarine::core {
namespace {

/// A minute on two GPUs, for as many jobs at once as a quarter of the cluster holds.
PolicyConfig with_trials(std::int64_t gpus_per_job = 2, std::int64_t share_permille = 250) {
  PolicyConfig policy;
  policy.trial = {{"minutes", 1}, {"gpus_per_job", gpus_per_job}, {"share_permille", share_permille}};
  return policy;
}

constexpr Duration allowance = seconds(5);

std::vector<StartJob> starts_of(const std::vector<Decision>& decisions) {
  std::vector<StartJob> starts;
  for (const Decision& decision : decisions)
    if (const auto* start = std::get_if<StartJob>(&decision)) starts.push_back(*start);
  return starts;
}

/// Of a cluster of 2 nodes with 8 GPUs each: a job on 14 GPUs runs for an hour; two of node2 are free.
struct Crowded {
  explicit Crowded(PolicyConfig policy = with_trials()) : driver(cluster_of(2, 8), std::move(policy)) {
    occupant = driver.submit(14, hours(1));
    driver.round();
    driver.run(occupant);
  }
  /// The one job that starts in the next round; its trial.
  StartJob only_start() {
    const auto starts = starts_of(driver.round());
    EXPECT_EQ(starts.size(), 1u);
    return starts.empty() ? StartJob{} : starts.front();
  }
  Driver driver;
  JobId occupant;
};
struct Trial : testing::Test, Crowded {};

TEST_F(Trial, ANewJobThatWaitsHasItsFirstMinuteOnWhatNobodyNeeds) {
  const JobId large = driver.submit(16, hours(2));
  const auto planned = driver.planned(large);
  const StartJob start = only_start();
  EXPECT_EQ(start.job, large);
  EXPECT_EQ(start.trial_ms, minutes(1));
  EXPECT_EQ(in_words(start.allocation), "node2:6,7");
  EXPECT_FALSE(start.backfilled);
  EXPECT_TRUE(is_in_trial(driver.job(large)));
  EXPECT_EQ(driver.planned(large).start_ms, planned.start_ms);
  EXPECT_EQ(driver.planned(large).allocation, planned.allocation);
}

TEST_F(Trial, WhenItIsOverTheJobQueuesAgainAndRunsWhole) {
  const JobId large = driver.submit(16, hours(2));
  const auto planned = driver.planned(large);
  driver.round();
  driver.run(large);
  driver.now = driver.now + minutes(1);
  driver.end(large, Outcome::timed_out);
  EXPECT_EQ(driver.state(large), JobState::queued);
  EXPECT_EQ(driver.job(large).restarts, 0);
  EXPECT_EQ(driver.job(large).fruitless, 0);
  EXPECT_EQ(driver.planned(large).start_ms, planned.start_ms);
  EXPECT_TRUE(driver.round().empty()) << "there is one trial for each job";
  driver.end(occupant);
  const StartJob start = only_start();
  EXPECT_FALSE(start.trial_ms);
  EXPECT_EQ(start.attempt, 2);
  EXPECT_EQ(gpus_of(start.allocation), 16);
}

TEST_F(Trial, ItKeepsItsPlaceWhileItsRanksAreStoppedAtItsEnd) {
  const JobId large = driver.submit(16, hours(2)), later = driver.submit(16, hours(1));
  driver.round();
  driver.run(large);
  driver.now = driver.now + minutes(1);
  driver.apply(GangFailed{large, 1, 1, Outcome::timed_out, Failure{.node = "node2", .detail = "its time was over", .at_ms = driver.now}, {}});
  EXPECT_EQ(driver.state(large), JobState::stopping);
  EXPECT_GT(driver.start_in_ms(later), driver.start_in_ms(large));
  Driver cancelled = driver;
  driver.end(large, Outcome::timed_out);
  EXPECT_EQ(driver.state(large), JobState::queued);
  EXPECT_FALSE(driver.attempt(large).failure);
  cancelled.apply(JobCancelled{large, ada});
  cancelled.end(large, Outcome::timed_out);
  EXPECT_TRUE(is_terminal(cancelled.state(large)));
}

TEST_F(Trial, AFailureIsTheJobsFailure) {
  const JobId typo = driver.submit(16, hours(2));
  driver.round();
  driver.run(typo);
  driver.apply(GangFailed{typo, 1, 1, Outcome::failed, Failure{.exit_code = 2, .at_ms = driver.now}, {}});
  EXPECT_FALSE(is_in_trial(driver.job(typo)));
  driver.end(typo, Outcome::failed);
  EXPECT_EQ(driver.state(typo), JobState::failed);
}

TEST_F(Trial, AFailureIsTriedAgainAsOftenAsAnyOther) {
  JobSpec spec = spec_of({.gpus = 16}, hours(2));
  spec.max_restarts = 1;
  const JobId job = driver.submit(spec);
  driver.round();
  driver.run(job);
  driver.end(job, Outcome::failed);
  EXPECT_EQ(driver.state(job), JobState::queued);
  EXPECT_EQ(driver.job(job).restarts, 1);
  driver.now = driver.now + minutes(1);
  EXPECT_TRUE(driver.round().empty()) << "and then it waits for all of its GPUs";
}

TEST_F(Trial, TooLittleMemoryOnFewGpusSaysNothingOfMany) {
  const JobId job = driver.submit(16, hours(2));
  driver.round();
  driver.run(job);
  driver.end(job, Outcome::out_of_memory);
  EXPECT_EQ(driver.state(job), JobState::queued);
}

TEST_F(Trial, WhoEndsWellInHisTrialHasEnded) {
  const JobId job = driver.submit(16, hours(2));
  driver.round();
  driver.run(job);
  driver.end(job);
  EXPECT_EQ(driver.state(job), JobState::completed);
}

TEST_F(Trial, WhoIsCancelledInHisTrialDoesNotComeBackAndLosesHisPlace) {
  const JobId first = driver.submit(16, hours(2)), second = driver.submit(16, hours(1));
  driver.round();
  EXPECT_EQ(driver.start_in_ms(second), (hours(1) + hours(2) + allowance + allowance).ms);
  driver.apply(JobCancelled{first, ada});
  EXPECT_EQ(driver.start_in_ms(second), (hours(1) + allowance).ms);
  driver.end(first, Outcome::cancelled);
  EXPECT_EQ(driver.state(first), JobState::cancelled);
}

TEST_F(Trial, NobodyTakesThePlaceOfAJobInItsTrial) {
  const JobId large = driver.submit(16, hours(2));
  driver.round();
  driver.run(large);
  // It would fit on what becomes free, and waits behind the one in its trial.
  const JobId later = driver.submit(16, hours(1));
  const auto lines = driver.scheduler.plan(driver.now).jobs;
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].job, large);
  EXPECT_EQ(lines[1].job, later);
  EXPECT_EQ(*lines[1].start_ms, *lines[0].end_ms + allowance);
  driver.now = driver.now + seconds(30);
  driver.end(occupant);
  EXPECT_TRUE(starts_of(driver.round()).empty()) << "14 are free, the job that has 2 for its trial gets 16 when that is over";
  EXPECT_EQ(*driver.planned(large).start_ms, assumed_end(driver.job(large), driver.scheduler.state().policy, driver.now));
}

TEST_F(Trial, AsLongAsItLastsShortJobsMayFillTheGapBeforeItsPlace) {
  const JobId large = driver.submit(16, hours(2));
  driver.round();
  driver.run(large);
  driver.end(occupant);
  const JobId small = driver.submit(4, seconds(20));
  EXPECT_EQ(only_start().job, small);
}

TEST_F(Trial, TheShareBoundsAllTogether) {
  Driver crowded(cluster_of(2, 8), with_trials(2, 125));  // two of 16
  crowded.submit(8, hours(1));
  crowded.round();
  const JobId first = crowded.submit(16, hours(2)), second = crowded.submit(16, hours(2));
  const auto starts = starts_of(crowded.round());
  ASSERT_EQ(starts.size(), 1u);
  EXPECT_EQ(starts.front().job, first);
  crowded.run(first);
  crowded.end(first, Outcome::timed_out);
  const auto then = starts_of(crowded.round());
  ASSERT_EQ(then.size(), 1u);
  EXPECT_EQ(then.front().job, second);
}

TEST_F(Trial, AsManyGpusAsOneNodeHasForIt) {
  Driver narrow(cluster_of(2, 4), with_trials(4, 1000));
  JobSpec three_each = spec_of({.nodes = 2, .gpus_per_node = 3}, hours(1));
  narrow.submit(three_each);
  narrow.round();
  narrow.submit(8, hours(1));
  const auto starts = starts_of(narrow.round());
  ASSERT_EQ(starts.size(), 1u);
  EXPECT_EQ(in_words(starts.front().allocation), "node1:3");
}

TEST_F(Trial, OfNodesTimesGpusItIsOneNodesPart) {
  Driver empty(cluster_of(2, 8), with_trials(8, 1000));
  empty.submit(2, 6, hours(1));
  empty.round();
  Driver wide(cluster_of(3, 8), with_trials(8, 1000));
  wide.submit(2, 8, hours(1));
  wide.round();
  wide.submit(3, 4, hours(1));
  const auto starts = starts_of(wide.round());
  ASSERT_EQ(starts.size(), 1u);
  EXPECT_EQ(in_words(starts.front().allocation), "node3:0,1,2,3");
}

TEST_F(Trial, NotWhereItsPlannedStartOrAnybodysComesBeforeItsEnd) {
  // The occupant ends in half a minute by its limit: the trial would be in the way of the job itself.
  Driver small(cluster_of(1, 4), with_trials(2, 1000));
  small.submit(3, seconds(30));
  small.round();
  small.submit(4, hours(1));
  EXPECT_TRUE(small.round().empty());
  // The second waits for an hour, but its minute would be in the way of the first.
  small.submit(4, hours(1));
  EXPECT_TRUE(small.round().empty());
}

TEST_F(Trial, NotForWhoWantsNoneOrCanNotRunOnFewer) {
  const auto gets_none = [&](const char* why, auto change) {
    JobSpec spec = spec_of({.gpus = 16}, hours(2));
    change(spec);
    const JobId job = driver.submit(spec);
    EXPECT_TRUE(starts_of(driver.round()).empty()) << why;
    if (driver.state(job) == JobState::queued || driver.state(job) == JobState::held) driver.apply(JobCancelled{job, ada});
  };
  gets_none("--no-trial", [](JobSpec& spec) { spec.trial = false; });
  gets_none("ranks", [](JobSpec& spec) { spec.ranks = 16; });
  gets_none("ranks per node", [](JobSpec& spec) { spec.ranks_per_node = 1; });
  gets_none("whole nodes", [](JobSpec& spec) { spec.exclusive = true; });
  gets_none("more at least", [](JobSpec& spec) { spec.min_gpus = 4; });
  gets_none("a terminal", [](JobSpec& spec) { spec.terminal = TerminalSize{}; });
  gets_none("a begin time", [&](JobSpec& spec) { spec.begin_ms = driver.now + minutes(10); });
  gets_none("held", [](JobSpec& spec) { spec.hold = true; });
  JobSpec one = spec_of({.gpus = 16}, hours(2));
  const JobId after = driver.submit_after(occupant, DependencyCondition::ok, one);
  EXPECT_TRUE(driver.round().empty()) << "waits for another";
  driver.apply(JobCancelled{after, ada});
  one.min_gpus = 2;
  driver.submit(one);
  EXPECT_EQ(starts_of(driver.round()).size(), 1u) << "two are enough";
}

TEST_F(Trial, OfAnArrayTheFirstElementIsTried) {
  const JobId array = driver.submit_array(spec_of({.gpus = 16}, hours(1)), 3, 1);
  EXPECT_EQ(only_start().job, array);
  EXPECT_TRUE(driver.round().empty());
  driver.run(array);
  driver.end(array, Outcome::timed_out);
  EXPECT_TRUE(driver.round().empty());
}

TEST_F(Trial, NobodysLimitIsExceeded) {
  ClusterConfig cluster = cluster_of(2, 8);
  cluster.accounts.front().limits.jobs = 1;
  Driver limited(cluster, with_trials());
  limited.submit(2, hours(1));
  limited.round();
  limited.submit(16, hours(1));
  EXPECT_TRUE(limited.round().empty());
}

TEST_F(Trial, OffUnlessThePolicySaysSo) {
  for (const PolicyConfig& policy : {PolicyConfig{}, [] {
         PolicyConfig policy = with_trials();
         policy.trial["minutes"] = 0;
         return policy;
       }(),
                                     [] {
                                       PolicyConfig policy = with_trials();
                                       policy.backfill = "easy";
                                       return policy;
                                     }()}) {
    driver.apply(PolicyChanged{policy, {}});
    driver.submit(16, hours(2));
    EXPECT_TRUE(driver.round().empty());
  }
}

TEST_F(Trial, APolicyWithoutPlansLetsItsTrialsEnd) {
  const JobId job = driver.submit(16, hours(2));
  driver.round();
  driver.run(job);
  PolicyConfig easy;
  easy.backfill = "easy";
  driver.apply(PolicyChanged{easy, {}});
  EXPECT_TRUE(driver.scheduler.plan(driver.now).jobs.empty());
  EXPECT_TRUE(driver.round().empty());
  driver.end(job, Outcome::timed_out);
  EXPECT_EQ(driver.scheduler.plan(driver.now).jobs.size(), 1u);
  driver.end(occupant);
  EXPECT_EQ(only_start().job, job);
}

TEST_F(Trial, IsNotTheStartThatOthersWaitFor) {
  const JobId first = driver.submit(16, hours(2));
  const JobId second = driver.submit_after(first, DependencyCondition::started, spec_of({.gpus = 1}, minutes(1)));
  driver.round();
  driver.run(first);
  EXPECT_FALSE(driver.job(second).eligible_ms);
}

TEST_F(Trial, ABoostSurvivesIt) {
  const JobId job = driver.submit(16, hours(2));
  driver.apply(JobBoosted{job, 1, driver.now + hours(5), {}});
  driver.round();
  ASSERT_TRUE(is_in_trial(driver.job(job)));
  EXPECT_TRUE(driver.job(job).boost);
}

TEST_F(Trial, ItsOrderIsThatOfAJobThatWaits) {
  // Who used more is behind; the trial makes no difference before the next tick, and none at all for orders by what a job ran so far.
  for (const char* order : {"submit_time", "multifactor", "shortest", "least_remaining", "least_attained"}) {
    PolicyConfig policy = with_trials();
    policy.order = order;
    policy.thresholds_gpu_s = {1};
    policy.weights = {{"age", 10}, {"fair_share", 100}};
    policy.priority_interval_ms = hours(10);
    Crowded with(policy);
    const JobId first = with.driver.submit(16, hours(2)), second = with.driver.submit(16, hours(2));
    const auto order_of = [&] {
      std::vector<JobId> jobs;
      for (const PlannedJob& line : with.driver.scheduler.plan(with.driver.now).jobs) jobs.push_back(line.job);
      return jobs;
    };
    with.driver.round();
    with.driver.run(first);
    with.driver.now = with.driver.now + minutes(1);
    EXPECT_EQ(order_of(), (std::vector{first, second})) << order;
    with.driver.end(first, Outcome::timed_out);
    EXPECT_EQ(order_of(), (std::vector{first, second})) << order;
  }
}

// ---- properties

/// ULTRAMARINE_SLOW=1: many more.
const std::uint64_t trial_cases = tests::cases(300, 5000);

JobSpec random_request(Random& random, std::int64_t nodes, std::int64_t gpus) {
  JobSpec spec = spec_of({.gpus = random.between(1, random.chance(600) ? gpus : nodes * gpus)}, seconds(random.between(30, 2000)), seconds(random.between(0, 20)));
  if (random.chance(300)) spec.resources = {.nodes = random.between(1, nodes), .gpus_per_node = random.between(1, gpus)};
  if (random.chance(100)) spec.exclusive = true;
  if (random.chance(200)) spec.cpus_per_gpu = random.between(1, 3);
  if (random.chance(100)) spec.trial = false;
  return spec;
}

/// Some run, some wait; limits, dependencies, arrays and a reservation among them. Whole seconds.
Driver random_driver(Random& random) {
  const std::int64_t nodes = random.between(1, 5), gpus = random.between(2, 8);
  ClusterConfig cluster = cluster_of(nodes, gpus);
  for (NodeConfig& node : cluster.nodes) node.cpus = random.chance(500) ? 2 * gpus : 0;
  if (random.chance(300)) cluster.accounts.front().limits.gpus = random.between(1, nodes * gpus);
  if (random.chance(200)) cluster.accounts.front().user_limits.jobs = random.between(1, 5);
  PolicyConfig policy = with_trials(random.between(1, 4), random.between(50, 600));
  if (random.chance(400)) {
    policy.order = "multifactor";
    policy.weights = {{"size", 100}, {"fair_share", 50}};
    policy.priority_interval_ms = hours(100);
  }
  if (random.chance(200)) policy.patience_ms = seconds(random.between(10, 300));
  Driver driver(cluster, policy);
  if (random.chance(250))
    driver.apply(ReservationMade{{.name = "kept", .nodes = {"node1"}, .accounts = {"default"}, .start_ms = driver.now + seconds(random.between(0, 600)),
                                  .end_ms = driver.now + seconds(random.between(700, 3000)), .reason = "a course", .actor = ada}, ada});
  const auto submit = [&] {
    JobSpec spec = random_request(random, nodes, gpus);
    if (random.chance(100) && driver.scheduler.state().next_job > 1) spec.dependencies.push_back({JobId{1}, DependencyCondition::any});
    if (random.chance(100)) driver.submit_array(spec, random.between(1, 4), random.between(0, 2));
    else driver.submit(spec);
  };
  for (std::int64_t rounds = random.between(0, 4); rounds > 0; --rounds) {
    for (std::int64_t i = random.between(0, 4); i > 0; --i) submit();
    driver.round();
    driver.now = driver.now + seconds(random.between(0, 40));
    for (const auto& [id, job] : std::map(driver.scheduler.state().jobs))
      if (job.state == JobState::starting) driver.run(id);
  }
  for (std::int64_t i = random.between(1, 10); i > 0; --i) submit();
  return driver;
}

std::map<JobId, std::pair<std::optional<Time>, std::string>> places(const Plan& plan) {
  std::map<JobId, std::pair<std::optional<Time>, std::string>> places;
  for (const PlannedJob& line : plan.jobs) places[line.job] = {line.start_ms, in_words(line.allocation)};
  return places;
}

TEST(TrialProperty, NoPlannedStartMovesInTimeOrSpace) {
  // After a round with trials everybody has the place that he has after the same round without them, ahead or behind, the tried ones too.
  int trials = 0;
  for (std::uint64_t seed = 1; seed <= trial_cases; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    Driver driver = random_driver(random);
    const auto before = places(driver.scheduler.plan(driver.now));
    Round with{driver.now, planner_version, "", driver.scheduler.decide(driver.now)};
    Round without = with;
    std::erase_if(without.decisions, [](const Decision& decision) { return std::holds_alternative<StartJob>(decision) && std::get<StartJob>(decision).trial_ms; });
    const std::size_t given = with.decisions.size() - without.decisions.size();
    trials += static_cast<int>(given);
    Driver other = driver;
    other.apply(without);
    driver.apply(with);
    const auto after = places(driver.scheduler.plan(driver.now));
    EXPECT_EQ(after, places(other.scheduler.plan(other.now)));
    for (const auto& [id, place] : after) EXPECT_EQ(place, before.at(id)) << "job " << id.value;
    EXPECT_TRUE(starts_of(driver.scheduler.decide(driver.now)).empty()) << "all trials that there are were given at once";
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(trials, 100);
}

TEST(TrialProperty, AKeptRosterDecidesAsANewOne) {
  for (std::uint64_t seed = 1; seed <= trial_cases; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    Driver driver = random_driver(random);
    for (int step = 0; step < 6; ++step) {
      driver.round();
      const Scheduler fresh(driver.scheduler.state());
      EXPECT_EQ(driver.scheduler.plan(driver.now), fresh.plan(driver.now));
      EXPECT_EQ(driver.scheduler.decide(driver.now), fresh.decide(driver.now));
      driver.now = driver.now + seconds(random.between(1, 40));
      for (const auto& [id, job] : std::map(driver.scheduler.state().jobs)) {
        if (job.state == JobState::starting) driver.run(id);
        else if (job.state == JobState::running && random.chance(300))
          driver.end(id, job.attempts.back().trial_ms && random.chance(700) ? Outcome::timed_out : random.chance(700) ? Outcome::succeeded : Outcome::failed);
      }
    }
    if (testing::Test::HasFailure()) return;
  }
}

/// Until nothing runs or waits; launches and runs take all the time that they may. When each job started whole.
std::map<JobId, Time> starts_of_a_run(Driver& driver, int& trials) {
  std::map<JobId, Time> starts;
  for (int steps = 0; steps < 10'000; ++steps) {
    for (const StartJob& start : starts_of(driver.round())) {
      if (start.trial_ms) ++trials;
      else starts[start.job] = driver.now;
    }
    const State& state = driver.scheduler.state();
    Time next{std::numeric_limits<std::int64_t>::max()};
    for (const auto& [id, job] : state.jobs) {
      if (job.state == JobState::starting) next = std::min(next, std::max(job.attempts.back().decided_ms + state.policy.launch_allowance_ms, driver.now));
      if (job.state == JobState::running) next = std::min(next, assumed_end(job, state.policy, job.attempts.back().decided_ms));
    }
    if (const auto wakeup = driver.scheduler.next_wakeup(driver.now); wakeup && *wakeup > driver.now) next = std::min(next, *wakeup);
    if (next.ms == std::numeric_limits<std::int64_t>::max()) break;
    driver.now = std::max(next, driver.now);
    for (const auto& [id, job] : std::map(driver.scheduler.state().jobs)) {
      const Attempt* open = open_attempt(job);
      if (!open) continue;
      if (job.state == JobState::starting && open->decided_ms + state.policy.launch_allowance_ms <= driver.now) driver.run(id);
      else if (job.state == JobState::running && assumed_end(job, state.policy, open->decided_ms) <= driver.now)
        driver.end(id, open->trial_ms ? Outcome::timed_out : Outcome::succeeded);
    }
  }
  return starts;
}

TEST(TrialProperty, WithoutSurprisesEveryJobStartsWhenItDoesWithoutTrials) {
  int trials = 0;
  for (std::uint64_t seed = 1; seed <= trial_cases; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    Driver with = random_driver(random);
    for (const auto& [id, job] : std::map(with.scheduler.state().jobs))
      if (const Attempt* open = open_attempt(job); open && assumed_end(job, with.scheduler.state().policy, open->decided_ms) <= with.now)
        with.end(id, open->trial_ms ? Outcome::timed_out : Outcome::succeeded);
    if (with.scheduler.state().policy.patience_ms.ms > 0) continue;  // what it keeps clear depends on when it is asked
    Driver without = with;
    PolicyConfig off = with.scheduler.state().policy;
    off.trial.clear();
    without.apply(PolicyChanged{off, {}});
    int none = 0;
    EXPECT_EQ(starts_of_a_run(with, trials), starts_of_a_run(without, none));
    EXPECT_EQ(none, 0);
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(trials, 100);
}

}  // namespace
}  // namespace ultramarine::core
