// Whatever a scheduler keeps from one plan for the next: after every entry of a random story, and whenever time has passed, its plan is the
// one that a scheduler makes that has just read the state. And the plan of the first k is the first k of the plan.
#include "tests/unit/core/builders.h"
#include "tests/unit/core/reference/cases.h"
#include "tests/unit/core/reference/property.h"

namespace ultramarine::core::reference {
namespace {

/// "" when all that it says is what a new scheduler says.
std::string difference_from_a_new_one(const Scheduler& scheduler, Time now) {
  const Scheduler fresh(scheduler.state());
  const Plan kept = scheduler.plan(now), anew = fresh.plan(now);
  for (std::size_t i = 0; i < std::min(kept.jobs.size(), anew.jobs.size()); ++i)
    if (kept.jobs[i] != anew.jobs[i]) return "the plan of job " + std::to_string(anew.jobs[i].job.value) + " is not what a new scheduler plans";
  if (kept != anew) return "the plan has other jobs than that of a new scheduler";
  if (scheduler.decide(now) != fresh.decide(now)) return "it decides otherwise than a new scheduler";
  if (scheduler.next_wakeup(now) != fresh.next_wakeup(now)) return "it wants to be asked at another time than a new scheduler";
  if (scheduler.state_hash() != fresh.state_hash()) return "its state hashes otherwise than that of a new scheduler";
  return "";
}

/// "" when what it starts now is what its plan starts now. (To decide, it need not plan everybody.)
std::string difference_from_its_plan(const Scheduler& scheduler, Time now) {
  const Plan plan = scheduler.plan(now);
  std::map<JobId, const PlannedJob*> starting;
  for (const PlannedJob& line : plan.jobs)
    if (line.start_ms == now) starting.emplace(line.job, &line);
  for (const Decision& decision : scheduler.decide(now)) {
    const auto* const start = std::get_if<StartJob>(&decision);
    if (!start) continue;
    const auto line = starting.find(start->job);
    if (line == starting.end()) return "job " + std::to_string(start->job.value) + " starts, and its plan says later";
    if (line->second->allocation != start->allocation) return "job " + std::to_string(start->job.value) + " starts elsewhere than its plan says";
    if (line->second->backfilled != start->backfilled) return "job " + std::to_string(start->job.value) + " overtakes, or not, otherwise than its plan says";
    starting.erase(line);
  }
  return starting.empty() ? "" : "job " + std::to_string(starting.begin()->first.value) + " doesn't start, and its plan says now";
}

/// "" when no line changes while those below it are taken out of the line one by one, as if somebody held them.
std::string dependence_on_jobs_below(const Scheduler& scheduler, Time now) {
  Plan plan = scheduler.plan(now);
  std::erase_if(plan.jobs, [](const PlannedJob& line) { return line.reason.code == ReasonCode::held; });
  State state = scheduler.state();
  while (!plan.jobs.empty()) {
    Job& last = state.jobs.at(plan.jobs.back().job);
    last.state = JobState::held;
    last.hold = Hold{HoldKind::user, "taken out of the line", ada, now};
    plan.jobs.pop_back();
    const Plan shorter = Scheduler(state).plan(now);
    for (std::size_t i = 0; i < plan.jobs.size(); ++i)
      if (shorter.jobs.at(i) != plan.jobs[i])
        return "the plan of job " + std::to_string(plan.jobs[i].job.value) + " depends on job " + std::to_string(last.job.value) + ", which is below it";
  }
  return "";
}

void expect_the_same_as_anew(const PolicyConfig& policy, const CaseOptions& options, int cases) {
  std::size_t entries = 0;
  check_property(cases, [&] {
    Playback playback(*any_scenario(policy, options));
    std::string problem;
    playback.after_entry = [&](const Entry&) {
      ++entries;
      if (problem.empty()) problem = difference_from_a_new_one(playback.scheduler, playback.now);
    };
    while (playback.advance() && problem.empty()) {
      problem = difference_from_a_new_one(playback.scheduler, playback.now);
      if (problem.empty()) problem = difference_from_its_plan(playback.scheduler, playback.now);
      playback.round();
      if (problem.empty()) problem = dependence_on_jobs_below(playback.scheduler, playback.now);
    }
    if (!problem.empty()) RC_FAIL("at " + std::to_string(playback.now.ms) + " ms: " + problem);
  });
  if (!testing::Test::HasFailure()) {
    EXPECT_GT(entries, static_cast<std::size_t>(cases) * 10);
  }
}

TEST(KeptPlan, IsTheFullPlanAfterEveryEntry) {
  expect_the_same_as_anew({}, {.people = true}, 100);
  // Who runs already is often behind others in these orders.
  const CaseOptions whole_numbers{.shapes = false, .kinds = false};
  expect_the_same_as_anew(PolicyConfig{.order = "shortest"}, whole_numbers, 200);
  PolicyConfig large_first{.order = "multifactor", .weights = {{"size", 1'000}, {"age", 1'000}}};
  large_first.size_favours = "large", large_first.max_age_ms = seconds(30), large_first.priority_interval_ms = seconds(5);
  expect_the_same_as_anew(large_first, whole_numbers, 200);
  expect_the_same_as_anew({}, {.overdue = true, .people = true}, 100);
}

}  // namespace
}  // namespace ultramarine::core::reference
