// Dates: reservations and maintenance, begin times, deadlines; and that the scheduler wakes up when one of them changes what can be done.
#include "scheduler/core/calendar.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "scheduler/core/planner.h"
#include "tests/unit/core/builders.h"
#include "tests/support/counts.h"

namespace ultramarine::core {
namespace {

/// 5 s of launch before the time limit: a stay of whole hours in all.
Duration in_all(std::int64_t whole_hours) { return seconds(whole_hours * 3600 - 5); }

class Dates : public testing::Test {
 protected:
  Driver driver{cluster_of(2, 4)};
  const Time began = driver.now;
  Time in(std::int64_t whole_hours) const { return began + hours(whole_hours); }

  JobId submit(std::int64_t gpus, std::int64_t whole_hours, const std::function<void(JobSpec&)>& change = [](JobSpec&) {}) {
    JobSpec spec = spec_of({.gpus = gpus}, in_all(whole_hours));
    change(spec);
    return driver.submit(spec);
  }
  void reserve(const std::string& name, std::vector<std::string> nodes, Time start, Time end, std::vector<std::string> accounts = {}) {
    driver.apply(ReservationMade{{.name = name, .nodes = std::move(nodes), .accounts = std::move(accounts), .start_ms = start, .end_ms = end, .reason = "test"}, ada});
  }
  ReasonCode reason(JobId id) { return driver.planned(id).reason.code; }
};

TEST_F(Dates, MaintenanceKeepsJobsOffThatWouldRunIntoIt) {
  reserve("night", {"node1", "node2"}, in(2), in(5));
  const JobId shorter = submit(4, 2), longer = submit(4, 3);
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{shorter});
  const PlannedJob line = driver.planned(longer);
  EXPECT_EQ(line.start_ms, in(5));
  EXPECT_EQ(line.reason.code, ReasonCode::reservation);
  EXPECT_EQ(line.reason.reservation, "night");
  EXPECT_EQ(line.reason.until_ms, in(5));
  EXPECT_TRUE(line.reason.waits_for.empty());
  EXPECT_EQ(driver.scheduler.next_wakeup(driver.now), in(2));
  driver.now = in(3);
  EXPECT_EQ(driver.scheduler.next_wakeup(driver.now), driver.now + seconds(1)) << "the overdue job";
  driver.run(shorter);
  driver.end(shorter);
  EXPECT_EQ(driver.scheduler.next_wakeup(driver.now), in(5));
  EXPECT_TRUE(driver.round().empty());
  driver.now = in(5);
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{longer});
}

TEST_F(Dates, WithEasyTheFirstThatWaitsIsPromisedTheEndOfAReservation) {
  // Nobody runs, so no end of a job makes room for the first; the end of the maintenance does.
  for (const char* backfill : {"easy", "easy_sjf"}) {
    SCOPED_TRACE(backfill);
    driver = Driver(cluster_of(2, 4), {.backfill = backfill});
    reserve("night", {"node1"}, in(1), in(2));
    const JobId first = submit(8, 3), in_the_way = submit(1, 10), before = submit(4, 1), ends_by_then = submit(2, 2);
    EXPECT_EQ(reason(in_the_way), ReasonCode::priority);
    const std::vector<JobId> started = driver.start_round();
    EXPECT_EQ(std::set<JobId>(started.begin(), started.end()), (std::set<JobId>{before, ends_by_then}));
    driver.now = in(2);
    for (const JobId job : started) driver.run(job), driver.end(job);
    EXPECT_EQ(driver.start_round(), std::vector<JobId>{first}) << "as promised";
  }
}

TEST_F(Dates, AReservationOfOneNodeLeavesTheOther) {
  reserve("course", {"node1"}, in(0), in(5), {"default"});
  const JobId one = submit(4, 1), two = submit(1, 1), wide = submit(8, 1);
  EXPECT_EQ(in_words(driver.planned(one).allocation), "node2:0,1,2,3");
  EXPECT_EQ(driver.planned(two).start_ms, in(1));
  EXPECT_EQ(reason(two), ReasonCode::reservation);
  EXPECT_EQ(driver.planned(wide).start_ms, in(5));
}

TEST_F(Dates, WhoNamesAReservationRunsInsideItAndNowhereElse) {
  reserve("course", {"node1"}, in(1), in(4), {"default"});
  const auto inside = [](JobSpec& spec) { spec.reservation = "course"; };
  const JobId first = submit(3, 2, inside), second = submit(2, 1, inside), too_long = submit(1, 4, inside), too_wide = submit(5, 1, inside);
  EXPECT_TRUE(driver.start_round().empty());
  EXPECT_EQ(driver.planned(first).start_ms, in(1));
  EXPECT_EQ(in_words(driver.planned(first).allocation), "node1:0,1,2");
  EXPECT_EQ(reason(first), ReasonCode::reservation);
  EXPECT_EQ(driver.planned(first).reason.until_ms, in(1));
  EXPECT_EQ(driver.planned(second).start_ms, in(3)) << "behind the first, still inside";
  for (const JobId hopeless : {too_long, too_wide}) {
    EXPECT_FALSE(driver.planned(hopeless).start_ms);
    EXPECT_EQ(reason(hopeless), ReasonCode::reservation);
  }
  EXPECT_EQ(driver.scheduler.next_wakeup(driver.now), in(1));
  const JobId outside = submit(4, 2);
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{outside}) << "who waits for a date holds nobody up";
  EXPECT_EQ(in_words(driver.attempt(outside).allocation), "node2:0,1,2,3");
  driver.now = in(1);
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{first});
  EXPECT_EQ(reason(second), ReasonCode::resources);
  driver.apply(ReservationEnded{"course", ada});
  EXPECT_EQ(reason(second), ReasonCode::reservation);
  EXPECT_FALSE(driver.planned(second).start_ms);
  EXPECT_EQ(driver.state(first), JobState::starting) << "who runs is not stopped";
}

TEST_F(Dates, AReservationMadeWhileItsNodeIsHeldBeginsWhenThatIsFree) {
  const JobId running = submit(8, 3);
  driver.round();
  reserve("course", {"node1"}, in(1), in(6), {"default"});
  const JobId inside = submit(4, 2, [](JobSpec& spec) { spec.reservation = "course"; });
  EXPECT_EQ(driver.planned(inside).start_ms, in(3));
  EXPECT_EQ(driver.state(running), JobState::starting);
}

TEST_F(Dates, AJobBeginsNotBeforeItsTimeAndHoldsNobodyUp) {
  const JobId later = submit(8, 1, [&](JobSpec& spec) { spec.begin_ms = in(2); });
  const JobId small = submit(8, 2), next = submit(4, 1);
  const PlannedJob line = driver.planned(later);
  EXPECT_EQ(line.start_ms, in(2));
  EXPECT_EQ(line.reason.code, ReasonCode::begin_time);
  EXPECT_EQ(line.reason.until_ms, in(2));
  EXPECT_EQ(driver.scheduler.next_wakeup(driver.now), in(2));
  EXPECT_EQ(driver.planned(next).start_ms, in(3)) << "its place is kept";
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{small});
  EXPECT_FALSE(driver.attempt(small).backfilled);
  driver.now = in(2);
  driver.run(small);
  driver.end(small);
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{later});
}

TEST_F(Dates, AJobThatCanStillMeetItsDeadlineWaitsAndIsRejectedWhenItCanNot) {
  const JobId running = submit(8, 3);
  driver.round();
  const JobId in_time = submit(8, 1, [&](JobSpec& spec) { spec.deadline_ms = in(4); });
  const JobId unlikely = submit(8, 1, [&](JobSpec& spec) { spec.deadline_ms = in(2); });
  const JobId other = submit(8, 1);
  EXPECT_EQ(driver.planned(in_time).start_ms, in(3));
  const PlannedJob line = driver.planned(unlikely);
  EXPECT_EQ(line.reason.code, ReasonCode::deadline);
  EXPECT_EQ(line.reason.until_ms, in(2));
  EXPECT_FALSE(line.start_ms);
  EXPECT_EQ(driver.planned(other).start_ms, in(4)) << "it takes no place that it would not use";
  EXPECT_TRUE(driver.round().empty());
  const Time last = in(2) - in_all(1);  // with a start at this instant it would just end in time
  EXPECT_EQ(driver.scheduler.next_wakeup(driver.now), last + milliseconds(1));
  driver.now = last;
  EXPECT_TRUE(driver.round().empty());
  driver.now = last + milliseconds(1);
  const auto decisions = driver.round();
  ASSERT_EQ(decisions.size(), 1u);
  EXPECT_EQ(std::get<RejectJob>(decisions[0]).job, unlikely);
  EXPECT_EQ(driver.attempt(unlikely).failure->detail,
            "it can't end by its deadline any more, with its whole time limit used; submit it again with a later deadline or less time");
  EXPECT_EQ(driver.state(unlikely), JobState::failed);
  EXPECT_EQ(driver.state(running), JobState::starting);
}

TEST_F(Dates, ADeadlineIsMetWhenDevicesBecomeFreeEarly) {
  const JobId running = submit(8, 3);
  driver.round();
  const JobId unlikely = submit(8, 1, [&](JobSpec& spec) { spec.deadline_ms = in(2); });
  driver.run(running);
  driver.end(running);
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{unlikely});
}

TEST_F(Dates, WhoWaitsForOthersPastItsDeadlineIsRejectedToo) {
  const JobId other = submit(1, 1);
  driver.apply(JobHeld{other, HoldKind::user, "", ada});
  const JobId job = submit(1, 1, [&](JobSpec& spec) {
    spec.dependencies = {{other, DependencyCondition::ok}};
    spec.deadline_ms = in(2);
  });
  EXPECT_TRUE(driver.round().empty());
  driver.now = in(2);
  EXPECT_EQ(reason(job), ReasonCode::deadline);
  EXPECT_EQ(driver.round().size(), 1u);
  EXPECT_EQ(driver.state(job), JobState::failed);
}

TEST_F(Dates, PoliciesThatLookAtThePresentAloneKeepThemAsWell) {
  for (const char* backfill : {"skip", "easy", "none"}) {
    SCOPED_TRACE(backfill);
    Driver present(cluster_of(2, 4), {.backfill = backfill});
    const auto ask = [&](std::int64_t gpus, const std::function<void(JobSpec&)>& change) {
      JobSpec spec = spec_of({.gpus = gpus}, in_all(2));
      change(spec);
      return present.submit(spec);
    };
    const auto make = [&](const std::string& name, const std::string& node, Time start, std::vector<std::string> accounts) {
      present.apply(ReservationMade{{.name = name, .nodes = {node}, .accounts = std::move(accounts), .start_ms = start, .end_ms = start + hours(9), .reason = "test"}, ada});
    };
    make("night", "node1", in(1), {});
    make("course", "node2", in(3), {"default"});
    const JobId later = ask(1, [&](JobSpec& spec) { spec.begin_ms = in(1); });
    const JobId inside = ask(1, [&](JobSpec& spec) { spec.reservation = "course"; });
    const JobId wide = ask(3, [&](JobSpec&) {}), none = ask(2, [&](JobSpec&) {});
    EXPECT_EQ(present.start_round(), std::vector<JobId>{wide});
    EXPECT_EQ(present.attempt(wide).allocation[0].node, "node2");
    EXPECT_EQ(present.planned(later).reason.code, ReasonCode::begin_time);
    EXPECT_EQ(present.planned(inside).reason.code, ReasonCode::reservation);
    EXPECT_EQ(present.planned(none).reason.code, ReasonCode::reservation);
  }
}

// ---- what is refused at once

class DateRequest : public Dates {
 protected:
  /// field: problem; remedy
  std::string refused(const std::function<void(JobSpec&)>& change) {
    JobSpec spec = spec_of({.gpus = 1}, hours(1));
    change(spec);
    const auto answer = driver.scheduler.accept(spec, ada, driver.now);
    const auto* refusal = std::get_if<Refusal>(&answer);
    return refusal ? refusal->field + ": " + refusal->problem + "; " + refusal->remedy : "accepted";
  }
};

TEST_F(DateRequest, ThatCanNotMeetItsDeadlineIsRefused) {
  EXPECT_EQ(refused([&](JobSpec& spec) { spec.deadline_ms = in(1); }), "accepted");
  EXPECT_EQ(refused([&](JobSpec& spec) { spec.deadline_ms = driver.now + minutes(59) + seconds(30); }),
            "deadline_ms: 59m are left for it until then, its time limit is 1h; ask for less time or a later deadline");
  EXPECT_EQ(refused([&](JobSpec& spec) { spec.begin_ms = in(1), spec.deadline_ms = in(2) - minutes(1); }),
            "deadline_ms: 59m are left for it until then, its time limit is 1h; ask for less time or a later deadline");
  EXPECT_EQ(refused([&](JobSpec& spec) { spec.deadline_ms = driver.now; }), "deadline_ms: it is in the past; give a later deadline");
  EXPECT_EQ(refused([&](JobSpec& spec) { spec.begin_ms = in(3), spec.deadline_ms = in(2); }), "deadline_ms: it comes before the begin time; give a later deadline");
  EXPECT_EQ(refused([&](JobSpec& spec) { spec.begin_ms = Time{-1}; }), "begin_ms: it is no date of this age; give one from 1970 to 9999");
  EXPECT_EQ(refused([&](JobSpec& spec) { spec.begin_ms = forever; }), "begin_ms: it is no date of this age; give one from 1970 to 9999");
  EXPECT_EQ(refused([&](JobSpec& spec) { spec.begin_ms = driver.now - minutes(5); }), "accepted") << "that time has come";
}

TEST_F(DateRequest, ForAReservationMustBeOneOfItsAccountsAndFit) {
  const auto inside = [](const char* name, std::int64_t gpus = 1, Duration limit = hours(1)) {
    return [=](JobSpec& spec) { spec.reservation = name, spec.resources.gpus = gpus, spec.time_limit_ms = limit; };
  };
  EXPECT_EQ(refused(inside("course")), "reservation: no reservation \"course\"; there is none; ask the cluster's admin");
  reserve("course", {"node1"}, in(1), in(3), {"default", "labs"});
  reserve("labs", {"node1"}, in(1), in(3), {"labs"});
  reserve("night", {"node2"}, in(1), in(3));
  EXPECT_EQ(refused(inside("course")), "accepted");
  EXPECT_EQ(refused(inside("cuorse")), "reservation: no reservation \"cuorse\"; did you mean course?");
  EXPECT_EQ(refused(inside("labs")), "reservation: reservation labs is not open to account default; use one of its accounts: labs");
  EXPECT_EQ(refused(inside("night")), "reservation: reservation night is for maintenance; leave it out");
  EXPECT_EQ(refused(inside("course", 5)), "reservation: 5 GPUs asked, the nodes of reservation course can't hold them; ask for less, or leave it out");
  EXPECT_EQ(refused(inside("course", 4, hours(2))),
            "reservation: 2h are left for it in reservation course, with its launch and its stop it may take 7205s; ask for less time, or leave it out");
  driver.now = in(3);
  EXPECT_EQ(refused(inside("course")),
            "reservation: 0ms are left for it in reservation course, with its launch and its stop it may take 3605s; ask for less time, or leave it out");
}

// ---- properties

const std::uint64_t calendar_cases = tests::cases(200, 3000);

/// Two nodes of some GPUs, reservations of all kinds, jobs with begin times and deadlines, some of them running. Whole seconds.
Driver random_dates(Random& random) {
  const std::int64_t gpus = random.between(1, 4);
  Driver driver(cluster_of(2, gpus), {.backfill = random.chance(200) ? "none" : "conservative"});
  const auto reserve = [&] {
    const Time start = driver.now + seconds(random.between(-5, 40));
    Reservation one{.name = "r" + std::to_string(random.between(1, 3)), .start_ms = start, .end_ms = start + seconds(random.between(5, 40)), .reason = "test"};
    for (const char* node : {"node1", "node2"})
      if (random.chance(600)) one.nodes.push_back(node);
    if (random.chance(600)) one.accounts.push_back("default");
    driver.apply(ReservationMade{one, ada});
  };
  const auto submit = [&] {
    JobSpec spec = spec_of({.gpus = random.between(1, random.chance(700) ? gpus : 2 * gpus)}, seconds(random.between(1, 20)));
    if (random.chance(200)) spec.begin_ms = driver.now + seconds(random.between(0, 40));
    if (random.chance(200)) spec.deadline_ms = driver.now + seconds(random.between(5, 80));
    if (random.chance(200)) spec.reservation = "r" + std::to_string(random.between(1, 3));
    driver.submit(spec);
  };
  for (std::int64_t i = random.between(0, 6); i > 0; --i) submit();
  driver.round();
  driver.now = driver.now + seconds(random.between(0, 10));
  for (std::int64_t i = random.between(0, 4); i > 0; --i) reserve();
  for (std::int64_t i = random.between(1, 12); i > 0; --i) submit();
  return driver;
}

/// Whether `job` may be on `node` in all of [start, end), by the words of the reservations alone.
bool is_open(const State& state, const Job& job, const std::string& node, Time start, Time end) {
  bool is_inside = job.spec.reservation.empty();
  for (const auto& [name, one] : state.reservations) {
    if (std::find(one.nodes.begin(), one.nodes.end(), node) == one.nodes.end()) continue;
    if (name == job.spec.reservation) is_inside = one.start_ms <= start && end <= one.end_ms;
    else if (one.start_ms < end && start < one.end_ms) return false;
  }
  return is_inside;
}

TEST(DateProperty, WithoutSurprisesEveryJobStartsWhenItWasPlannedInsideItsDates) {
  // Reservations that a running job already overlaps are no exception: they bind starts, and runs that began before stay.
  std::map<ReasonCode, int> reasons;
  for (std::uint64_t seed = 1; seed <= calendar_cases; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    Driver driver = random_dates(random);
    const PolicyConfig policy = driver.scheduler.state().policy;
    std::map<JobId, PlannedJob> expected;
    for (const PlannedJob& line : driver.scheduler.plan(driver.now).jobs) expected[line.job] = line, ++reasons[line.reason.code];
    std::map<JobId, Time> ends;
    for (const auto& [id, job] : driver.scheduler.state().jobs)
      if (is_active(job.state)) ends[id] = assumed_end(job, policy, driver.now);
    while (true) {
      for (const Decision& decision : driver.round()) {
        if (const auto* rejected = std::get_if<RejectJob>(&decision)) {
          EXPECT_FALSE(expected.at(rejected->job).start_ms) << "job " << rejected->job.value;
          continue;
        }
        const JobId id = std::get<StartJob>(decision).job;
        const Job& job = driver.job(id);
        ends[id] = driver.now + longest_stay(job.spec, policy);
        EXPECT_EQ(expected.at(id).start_ms, driver.now) << "job " << id.value;
        EXPECT_EQ(in_words(expected.at(id).allocation), in_words(std::get<StartJob>(decision).allocation)) << "job " << id.value;
        expected.at(id).start_ms.reset();
        EXPECT_GE(driver.now, job.spec.begin_ms.value_or(driver.now));
        EXPECT_LE(driver.now + job.spec.time_limit_ms, job.spec.deadline_ms.value_or(forever));
        for (const NodeAllocation& on_node : driver.attempt(id).allocation)
          EXPECT_TRUE(is_open(driver.scheduler.state(), job, on_node.node, driver.now, ends[id])) << "job " << id.value << " on " << on_node.node;
      }
      // The scheduler itself says when to look again; ends are events.
      Time next = forever;
      for (const auto& [id, end] : ends) next = std::min(next, end);
      if (const auto wakeup = driver.scheduler.next_wakeup(driver.now)) next = std::min(next, *wakeup);
      if (next == forever) break;
      ASSERT_GT(next, driver.now);
      driver.now = next;
      for (auto end = ends.begin(); end != ends.end();) {
        if (end->second > driver.now) {
          ++end;
          continue;
        }
        driver.run(end->first);
        driver.end(end->first);
        end = ends.erase(end);
      }
    }
    for (const auto& [id, line] : expected) EXPECT_FALSE(line.start_ms) << "job " << id.value << " never started";
    if (HasFailure()) return;
  }
  for (const ReasonCode code : {ReasonCode::begin_time, ReasonCode::deadline, ReasonCode::reservation}) EXPECT_GT(reasons[code], 30);
}

TEST(DateProperty, TheChoiceOfARoundIsWhatThePlanSays) {
  for (std::uint64_t seed = 1; seed <= calendar_cases; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    const Driver driver = random_dates(random);
    std::vector<JobId> chosen, expected;
    for (const Decision& decision : driver.scheduler.decide(driver.now))
      if (const auto* start = std::get_if<StartJob>(&decision)) chosen.push_back(start->job);
    const Plan plan = driver.scheduler.plan(driver.now);
    for (const PlannedJob& line : plan.jobs) {
      EXPECT_EQ(line.reason.code == ReasonCode::starting_now, line.start_ms == driver.now) << "job " << line.job.value;
      if (line.reason.code == ReasonCode::starting_now) expected.push_back(line.job);
    }
    EXPECT_EQ(chosen, expected);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace ultramarine::core
