// Two plans of the same queue, before and after something was changed: whose planned starts move, by how much, and what each account gets of the
// coming week. Every bill and every what-if question is such a comparison. The one idea: the state is copied, entries that didn't happen are
// applied to the copy, and the same planner plans both.
#pragma once

#include <vector>

#include "scheduler/core/scheduler.h"
#include "scheduler/model/bill.h"

namespace ultramarine::core {

struct Comparison {
  std::vector<MovedStart> delayed, helped;  // in the order of the plan before
  std::int64_t displaced_gpu_ms = 0;        // sum over delayed jobs of GPUs x delay
  std::vector<ShareOfWeek> shares;          // by account's name; accounts that hold nothing before and after are left out
  Plan before, after;
};

/// How far ahead shares are compared.
constexpr Duration share_horizon{7 * 86'400'000LL};

/// Whether the state's policy gives every queued job a planned start.
bool plans_everybody(const State& state);

/// A scheduler for questions: the state's, where every queued job gets a planned start. Where the policy plans nobody beyond the present, starts are
/// those of conservative backfill with the same order and placement, which is what is promised nowhere but comes close.
Scheduler planning_copy(const State& state);

/// What the plan gives when the entries are applied, one after the other, to a copy of `scheduler` (a planning copy). Jobs in `without` are left
/// out of delayed and helped: those that the change is about. O(two plans).
Comparison compare(const Scheduler& scheduler, Time now, const std::vector<Entry>& entries, const std::vector<JobId>& without = {});

/// What a job that holds devices would leave behind if its attempt were over now.
std::vector<Entry> ended_now(const Job& job, Outcome outcome);

/// The moves alone, of jobs that wait in both plans (`after` may lack those that the change ended).
Comparison moves_between(const State& state, const Plan& before, const Plan& after, const std::vector<JobId>& without = {});

}  // namespace ultramarine::core
