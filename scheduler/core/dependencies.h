// What a job waits for when it depends on others: whether that has come, may come, or never will, and when it is to be expected. A job counts
// in the order only from the moment on when all had come, so that it moves no start that was planned before.
#pragma once

#include <functional>
#include <optional>
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

/// From when until when a job holds its devices, if it takes all of its time.
struct Span {
  Time start, end;
};

/// When all that these wait for is to be expected, if every job takes all of its time and ends well. `span_of` knows the jobs that run or have a
/// planned start.
struct Expected {
  std::optional<Time> at;       // absent: it isn't known, or never comes
  std::optional<JobId> unknown; // that has no span: known once this one has one. Of an array it is the last such element
};
Expected expect_dependencies(const State& state, const std::vector<Dependency>& dependencies, Duration launch_allowance,
                             const std::function<std::optional<Span>(JobId)>& span_of);

// ---- called by apply alone
/// Notes in every waiting job what has come by now.
void settle_dependencies(State& state, Time now);
/// The job has ended and waits for nobody.
void stop_awaiting(State& state, JobId job);

}  // namespace ultramarine::core
