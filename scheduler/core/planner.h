// The forward plan: a start, an allocation and an end for every queued job, in the policy's order, and why it does not run now.
// The one idea: each job takes the earliest place in the calendar that the jobs ahead of it left, so nothing below can move it. Policies that
// keep no calendar look at the present alone, in the same loop: a job starts now or has no planned start.
// A function of the state and `now` alone.
#pragma once

#include "scheduler/model/event.h"
#include "scheduler/model/plan.h"
#include "scheduler/model/state.h"

namespace ultramarine::core {

class Roster;

/// Every queued and held job. The roster must be prepared for `now`; it is of this state.
Plan make_plan(const State& state, Roster& roster, Time now);

/// The plan's line of a job; nullptr: it has none. O(jobs of the plan).
const PlannedJob* line_of(const Plan& plan, JobId job);

/// What the plan says must happen now.
struct Choices {
  std::vector<StartJob> starts;  // in the order in which the jobs were served
  std::vector<JobId> impossible; // no state of this cluster can run them
  std::vector<JobId> yielding;   // running jobs that give back their devices first; then nobody starts in this round
};
Choices choose(const State& state, Roster& roster, Time now);

/// When the job `probed` would start if it were each of `variants` instead (copies of it that ask for something else), all in one pass over the queue:
/// a job's place depends on those ahead of it alone. Where floors, soft caps or own turns have moved jobs in the order, as if it kept its place. nullopt: it would have no planned start. Only where the policy plans everybody.
std::vector<std::optional<Time>> probe(const State& state, Roster& roster, Time now, JobId probed, const std::vector<Job>& variants);

/// How long a job holds its devices at most, from the decision: launch allowance + time limit + stop grace. The allowance is kept free in the
/// calendar, so that a launch which takes its normal time moves no planned start. (The time limit counts from the ranks' start.)
Duration longest_stay(const JobSpec& spec, const PolicyConfig& policy);

/// Until when the running attempt of a job is taken to hold its devices: its start, or the latest normal one, + time limit + stop grace; one
/// second from now if it should have ended already.
Time assumed_end(const Job& job, const PolicyConfig& policy, Time now);

}  // namespace ultramarine::core
