// What a job waits for when it depends on others: whether that has come, may come, or never will. A job counts for planning only from the
// moment on when all had come, so that it moves no start that was planned before.
#pragma once

#include <vector>

#include "scheduler/model/state.h"

namespace ultramarine::core {

/// A job that depends on others, and not all of that has come yet.
inline bool awaits_others(const Job& job) { return !job.spec.dependencies.empty() && !job.eligible_ms; }

enum class Coming { met, waiting, never };

struct DependencyView {
  Coming coming = Coming::met;
  std::vector<JobId> jobs;  // that it waits for, or that ended otherwise; at most 5, ascending
};

/// Over all dependencies: one that never comes outweighs those that may.
DependencyView look_at_dependencies(const State& state, const std::vector<Dependency>& dependencies);

// ---- called by apply alone
/// Notes in every waiting job what has come by now.
void settle_dependencies(State& state, Time now);
/// The job has ended and waits for nobody.
void stop_awaiting(State& state, JobId job);

}  // namespace ultramarine::core
