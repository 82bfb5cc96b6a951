// Slips and harm: each cause by itself, and over random stories that every slip has its cause and that nobody is ever overtaken to his
// harm; a planted page that lets in whoever fits is found out.
#include "scheduler/core/slips.h"

#include <algorithm>

#include "tests/unit/core/builders.h"
#include "tests/unit/core/reference/cases.h"
#include "tests/unit/core/reference/property.h"
#include "tests/unit/core/reference/reference.h"

namespace ultramarine::core::reference {
namespace {

/// A cluster whose slips are counted entry by entry.
struct Watched {
  explicit Watched(std::int64_t nodes, std::int64_t gpus) : driver(cluster_of(nodes, gpus)) { look(); }
  void look() {
    for (const Slip& slip : counter.on_plan(driver.scheduler.state(), driver.scheduler.plan(driver.now))) all.push_back(slip);
  }
  void apply(const Entry& entry) {
    driver.apply(entry);
    counter.on_entry(entry, driver.scheduler.state());
    look();
  }
  JobId submit(std::int64_t gpus, Duration limit) {
    const JobId id{driver.scheduler.state().next_job};
    apply(JobSubmitted{id, spec_of({.gpus = gpus}, limit), {}, "", ada});
    return id;
  }
  void round() {
    if (const auto decisions = driver.scheduler.decide(driver.now); !decisions.empty())
      apply(Round{driver.now, planner_version, driver.scheduler.policy_hash(), decisions});
  }
  void end(JobId job) {
    apply(GangFinished{job, 1, 1, Outcome::succeeded, {}, {}});
    apply(AttemptEnded{job, 1, Outcome::succeeded, {}});
  }

  Driver driver;
  SlipCounter counter;
  std::vector<Slip> all;
};

TEST(Slips, ANodeThatFallsSilentMovesWhoWouldHaveStarted) {
  Watched world(2, 2);
  const JobId first = world.submit(2, seconds(10)), second = world.submit(2, seconds(10));
  world.apply(NodeSuspected{"node1", {}});
  EXPECT_EQ(world.all, (std::vector{Slip{second, seconds(15), SlipCause::node_loss}}));
  EXPECT_EQ(world.driver.start_in_ms(first), 0);
}

TEST(Slips, ALostPlaceKeepsItsPromiseAndItsCause) {
  // No node is left, so there is no start at all; when one comes back, the start is later than what was promised.
  Watched world(1, 1);
  const JobId job = world.submit(1, seconds(10));
  world.apply(NodeSuspected{"node1", {}});
  world.driver.now = world.driver.now + seconds(7);
  world.look();
  EXPECT_TRUE(world.all.empty());
  world.apply(NodeJoined{"node1", "boot-1", "0.1.0", "node1", {}});
  EXPECT_EQ(world.all, (std::vector{Slip{job, seconds(7), SlipCause::node_loss}}));
}

TEST(Slips, WhoComesAboveMovesThoseBelow) {
  Watched world(1, 1);
  const JobId first = world.submit(1, seconds(10)), second = world.submit(1, seconds(10));
  world.apply(JobHeld{first, HoldKind::user, "wait", ada});
  EXPECT_EQ(world.driver.start_in_ms(second), 0);
  world.apply(JobReleased{first, ada});
  EXPECT_EQ(world.all, (std::vector{Slip{second, seconds(15), SlipCause::arrival_above}}));
}

TEST(Slips, WhoStaysBeyondItsTimeMovesThoseBehind) {
  Watched world(1, 3);
  const JobId first = world.submit(2, seconds(20)), second = world.submit(1, seconds(40));
  world.round();
  const JobId third = world.submit(2, seconds(50)), fourth = world.submit(3, seconds(10));
  EXPECT_EQ(world.driver.start_in_ms(third), 25'000);
  EXPECT_EQ(world.driver.start_in_ms(fourth), 80'000);
  world.end(second);
  EXPECT_TRUE(world.all.empty());
  world.driver.now = world.driver.now + seconds(30);
  world.look();
  EXPECT_EQ(world.all, (std::vector{Slip{third, seconds(6), SlipCause::late_end}, Slip{fourth, seconds(6), SlipCause::late_end}}));
  EXPECT_EQ(world.counter.total(SlipCause::late_end), seconds(12));
  EXPECT_EQ(world.driver.state(first), JobState::starting);
}

TEST(Slips, AnEarlyEndMayLetSomebodyIntoAnothersWay) {
  // Two run until 100 s and 50 s. The wide one is planned behind both, the narrow one (49 s) between the end of the second and the wide one.
  // When the first ends at 5 s, the wide one follows the second, and the narrow one fits neither before it nor beside it.
  Watched world(1, 2);
  const JobId first = world.submit(1, seconds(95));
  world.submit(1, seconds(45));
  world.round();
  const JobId wide = world.submit(2, seconds(5)), narrow = world.submit(1, seconds(44));
  EXPECT_EQ(world.driver.start_in_ms(wide), 100'000);
  EXPECT_EQ(world.driver.start_in_ms(narrow), 50'000);
  world.driver.now = world.driver.now + seconds(5);
  world.end(first);
  EXPECT_EQ(world.driver.start_in_ms(wide), 45'000);
  EXPECT_EQ(world.all, (std::vector{Slip{narrow, seconds(10), SlipCause::early_end}}));
}

TEST(Slips, AnotherPolicyIsACause) {
  // Conservative lets the short job start first; without backfill it comes after the wide one.
  Watched world(1, 2);
  world.submit(1, seconds(60));
  world.round();
  const JobId wide = world.submit(2, seconds(10)), brief = world.submit(1, seconds(5));
  EXPECT_EQ(world.driver.start_in_ms(wide), 65'000);
  EXPECT_EQ(world.driver.start_in_ms(brief), 0);
  PolicyConfig policy;
  policy.backfill = "none";
  world.apply(PolicyChanged{policy, {}});
  EXPECT_EQ(world.all, (std::vector{Slip{brief, seconds(80), SlipCause::configuration}}));
}

TEST(Slips, WhoStartsBelowAndIsInTheWayIsHarm) {
  // The decision is made up: no page of ours would take it.
  Watched world(1, 2);
  world.submit(1, seconds(60));
  world.round();
  const JobId wide = world.submit(2, seconds(10)), rude = world.submit(1, seconds(100));
  world.apply(Round{world.driver.now, planner_version, world.driver.scheduler.policy_hash(), {StartJob{rude, 1, {{"node1", {1}}}, true, 1}}});
  EXPECT_EQ(world.all, (std::vector{Slip{wide, seconds(40), SlipCause::overtaken}}));
  EXPECT_EQ(world.counter.harm(), seconds(40));
}

TEST(Slips, NobodyIsAccusedWhenTheOrderMayHaveChangedUnseen) {
  // Between the last plan and the round lies a tick of the priorities: who is below now can't be known.
  Watched world(1, 2);
  world.submit(1, seconds(60));
  world.round();
  const JobId wide = world.submit(2, seconds(10)), other = world.submit(1, seconds(100));
  world.driver.now = world.driver.now + world.driver.scheduler.state().policy.priority_interval_ms;
  const Round round{world.driver.now, planner_version, world.driver.scheduler.policy_hash(), {StartJob{other, 1, {{"node1", {1}}}, true, 1}}};
  world.apply(round);
  ASSERT_EQ(world.all.size(), 1u);
  EXPECT_EQ(world.all[0].job, wide);
  EXPECT_EQ(world.all[0].cause, SlipCause::order_change);
}

/// Counts the slips of a story, entry by entry. `sum`: the same sum, from the planned starts alone.
struct Counted {
  explicit Counted(Playback& story) : playback(story) {
    playback.after_entry = [this](const Entry& entry) {
      counter.on_entry(entry, playback.scheduler.state());
      look();
    };
    look();
  }
  void look() {
    const Plan plan = playback.scheduler.plan(playback.now);
    std::map<JobId, Time> starts;
    for (const PlannedJob& line : plan.jobs) {
      const bool has_no_place = line.reason.code == ReasonCode::held || line.reason.code == ReasonCode::dependency;
      const auto before = promised.find(line.job);
      if (has_no_place || (before == promised.end() && !line.start_ms)) continue;
      if (before != promised.end() && line.start_ms && *line.start_ms > before->second) sum = sum + (*line.start_ms - before->second);
      starts[line.job] = line.start_ms ? *line.start_ms : before->second;
    }
    promised = starts;
    counter.on_plan(playback.scheduler.state(), plan);
  }
  Duration all() const {
    Duration all;
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<SlipCause>>([&](auto cause) { all = all + counter.total(cause.value); });
    return all;
  }

  Playback& playback;
  SlipCounter counter;
  std::map<JobId, Time> promised;
  Duration sum;
};

TEST(Slips, ConservativeBackfillNeverHarmsAndEverySlipHasItsCause) {
  std::map<SlipCause, std::int64_t> seen;
  std::int64_t trials = 0;
  check_property(200, [&] {
    PolicyConfig policy;
    if (*rc::gen::arbitrary<bool>()) policy.trial = {{"minutes", 1}, {"gpus_per_job", 2}, {"share_permille", 400}};
    Playback playback(*any_scenario(policy, {.overdue = true, .people = true}));
    Counted counted(playback);
    while (playback.advance()) {
      counted.look();
      for (const Decision& decision : playback.round())
        if (const auto* start = std::get_if<StartJob>(&decision)) trials += start->trial_ms ? 1 : 0;
    }
    RC_ASSERT(counted.counter.harm().ms == 0);
    RC_ASSERT(counted.all().ms == counted.sum.ms);
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<SlipCause>>([&](auto cause) { seen[cause.value] += counted.counter.total(cause.value).ms; });
  });
  EXPECT_GT(trials, 20);
  for (const SlipCause cause : {SlipCause::node_loss, SlipCause::arrival_above, SlipCause::early_end, SlipCause::late_end}) {
    EXPECT_GT(seen[cause], 0) << boost::describe::enum_to_string(cause, "");
  }
}

TEST(Slips, APageThatIgnoresTheCalendarIsFoundOut) {
  // It starts whoever fits on what is free, in order, with no regard for planned starts.
  Duration harm;
  check_property(100, [&] {
    const Scenario scenario = *any_scenario({}, {});
    PolicyConfig rude;
    rude.backfill = "skip", rude.placement = "pack";
    Playback playback(scenario);
    Reference chooser(scenario.cluster, rude);
    Counted counted(playback);
    while (playback.advance()) {
      const std::int64_t now_s = playback.now.ms / 1000;
      for (const JobId id : playback.ended) chooser.end(id);
      for (const JobId id : playback.came) chooser.submit(id, playback.scheduler.state().jobs.at(id).spec, "ada", now_s);
      counted.look();
      playback.round([&] {
        std::vector<Decision> decisions;
        for (const Line& line : chooser.plan(now_s)) {
          if (!line.start_s) continue;
          decisions.push_back(StartJob{line.job, 1, line.allocation, false, 0});
          chooser.start(line, now_s);
        }
        return decisions;
      });
    }
    RC_ASSERT(counted.all().ms == counted.sum.ms);
    harm = harm + counted.counter.harm();
  });
  EXPECT_GT(harm, seconds(100));
}

}  // namespace
}  // namespace ultramarine::core::reference
