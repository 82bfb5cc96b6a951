// Who asks, and what they may do. Rules in one place: the owner, the user who runs the scheduler, root and members of the role
// admin may change and read all of a job; everybody else with an identity sees a job's name, account, size and state; without
// identity (loopback TCP) nobody's user name is shown either.
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

/// The user who runs the scheduler (`scheduler_uid`), root, or a member of the role admin (`roles.admin`: users and @groups).
bool is_administrator(const Caller& caller, const State& state, std::int64_t scheduler_uid);
/// Sees command, folder, environment names, output; cancels and requeues.
bool may_handle(const Caller& caller, const Job& job, const State& state, std::int64_t scheduler_uid);
/// Why `caller` can't submit, or nullopt: jobs of others than the user who runs the scheduler need agents that are root, and an agent that isn't
/// takes them only where its node is drained. Nodes that never had an agent don't count.
std::optional<Problem> why_not_submit(const Caller& caller, const State& state, std::int64_t scheduler_uid);
/// What is left of a job for a caller who may not handle it: no command, folders, output or names of variables; without identity no users.
Job redacted(Job job, const Caller& caller);

}  // namespace ultramarine::api
