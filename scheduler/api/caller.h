// Who asks, and what is left of a job for those who may not see all of it (roles.h says who may): everybody with an identity sees a job's
// name, account, owner, size and state; without identity (loopback TCP) nobody's user name is shown either.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "scheduler/api/problem.h"
#include "scheduler/model/job.h"
#include "scheduler/model/state.h"

namespace ultramarine::api {

struct Caller {
  bool identified = false;          // false: came through the door without identity
  Actor actor;                      // uid, name, channel
  std::vector<std::string> groups;  // names
};

/// Why `caller` can't submit, or nullopt: jobs of others than the user who runs the scheduler need agents that are root, and an agent that isn't
/// takes them only where its node is drained. Nodes that never had an agent don't count.
std::optional<Problem> why_not_submit(const Caller& caller, const State& state, std::int64_t scheduler_uid);
/// What is left of a job for a caller who may not see it: no command, folders, output or names of variables; without identity no users.
Job redacted(Job job, const Caller& caller);
/// ... who may see it, but not read what it wrote.
Job without_output(Job job);
/// The job as this caller is shown it.
Job as_shown_to(const Caller& caller, const Job& job, const State& state, std::int64_t scheduler_uid);

}  // namespace ultramarine::api
