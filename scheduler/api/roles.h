// Which requests are kept from plain users, and whose they are: one table. The user who runs the scheduler and root have the role admin without
// being named in the cluster file's [roles]; groups are resolved before a caller gets here.
#pragma once

#include "scheduler/api/caller.h"

namespace ultramarine::api {

/// Roles that [roles] gives to people.
enum class Role { lead, manager, admin, auditor };

/// What not everybody may ask for.
enum class Act { drain_nodes, lose_nodes, reserve_nodes, reload, shut_down, go_ahead };

/// Whether the caller has the role: by name or through a group; an admin has it, too, who runs the scheduler or is root.
bool has_role(Role role, const Caller& caller, const State& state, std::int64_t scheduler_uid);

/// Throws Problem when the submission asks to be ahead of others (nice < 0) and the caller may not.
void check_nice(const JobSpec& spec, const Caller& caller, const State& state, std::int64_t scheduler_uid);

/// Why `caller` may not; it says who may. nullopt: he may.
std::optional<Problem> why_not(Act act, const Caller& caller, const State& state, std::int64_t scheduler_uid);

}  // namespace ultramarine::api
