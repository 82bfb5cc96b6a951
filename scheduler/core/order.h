// The order in which the planner serves jobs: the policy's, in which jobs that their owner reordered take each other's places, behind those that have a boost. (Floors and soft
// caps come after it: see limits.)
#pragma once

#include <vector>

#include "scheduler/core/policy/policies.h"
#include "scheduler/model/state.h"

namespace ultramarine::core {

/// A job's place: ahead of all others while it has a boost, else by the policy.
policy::OrderKey place_of(const policy::JobOrder& order, const Job& job, Time now);
/// Whether it has a boost that is not over.
bool is_boosted(const Job& job, Time now);

/// `jobs`, first those that are served first: boosted ones by their bills, then by the policy's key and by number; then the jobs of one owner (same account, partition and
/// QOS) that have an own turn stand in the order of those turns in the places that they have together. Jobs that run keep the place that they
/// would have if they still waited. O(jobs x log).
std::vector<const Job*> in_order(const State& state, std::vector<const Job*> jobs, const policy::Policies& policies, Time now);

}  // namespace ultramarine::core
