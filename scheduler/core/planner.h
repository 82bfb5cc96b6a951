// The forward plan: a start, an allocation and an end for every queued job, in the policy's order, and why it does not run now.
// The one idea: each job takes the earliest place in the calendar that the jobs ahead of it left, so nothing below can move it.
// A function of the state and `now` alone.
#pragma once

#include "scheduler/model/plan.h"
#include "scheduler/model/state.h"

namespace ultramarine::core {

/// `everything`: every queued and held job. `starts`: the same lines in the same order, but those that can't matter to a decision at
/// `now` may be left out; cheaper on a full cluster.
enum class PlanExtent { everything, starts };

Plan make_plan(const State& state, Time now, PlanExtent extent = PlanExtent::everything);

/// From the decision until the ranks run: kept free in the calendar, so that a launch which takes its normal time moves no planned
/// start. (The time limit counts from the ranks' start.)
constexpr Duration launch_allowance{5'000};

/// Until when the running attempt of a job is taken to hold its devices: its start, or the latest normal one, + time limit + stop grace; one
/// second from now if it should have ended already.
Time assumed_end(const Job& job, Time now);

/// How long a job holds its devices at most, from the decision: launch allowance + time limit + stop grace.
Duration longest_stay(const JobSpec& spec);

}  // namespace ultramarine::core
