// Who may do what: one table, request x role x whose job it is. Everybody with an identity has the role user, unless the cluster file's [roles]
// names users; the user who runs the scheduler and root have the role admin without being named. Groups are resolved before a caller gets here.
#pragma once

#include <string>
#include <vector>

#include "scheduler/api/caller.h"

namespace ultramarine::api {

enum class Role { user, lead, manager, admin, auditor };

///  see          command, folder, script and names of variables of a job; all else everybody with an identity sees
///  read_output  what its ranks wrote
///  cancel       also requeue
///  hold         also release
///  edit         what a waiting job asks for
///  reorder      jobs of one owner among themselves
///  boost        put a job ahead of all others, with a bill
///  extend       give a job more time, with a bill
///  go_ahead     a nice value below 0
enum class Act { submit, see, read_output, cancel, hold, edit, reorder, boost, extend, go_ahead, drain_nodes, lose_nodes, reserve_nodes, reload, shut_down };

/// Whose jobs: none, one's own, those of accounts that one belongs to, all. What isn't about a job is `all` or `none`.
enum class Reach { none, own, account, all };

struct Rule {
  Act act;
  const char* what;  // "only an admin may ..."
  Reach user, lead, manager, admin, auditor;
};
/// The table.
const std::vector<Rule>& rules();
Reach reach(const Rule& rule, Role role);

/// Whether the caller has the role: by name or through a group.
bool has_role(Role role, const Caller& caller, const State& state, std::int64_t scheduler_uid);

/// Whether he may do it to this job.
bool may(Act act, const Caller& caller, const Job& job, const State& state, std::int64_t scheduler_uid);
/// The same as a refusal: whose job it is, and who may. nullopt: he may.
std::optional<Problem> why_not(Act act, const Caller& caller, const Job& job, const State& state, std::int64_t scheduler_uid);
/// Of what isn't about one job.
std::optional<Problem> why_not(Act act, const Caller& caller, const State& state, std::int64_t scheduler_uid);

/// Throws Problem when the submission asks to be ahead of others (nice < 0) and the caller may not.
void check_nice(const JobSpec& spec, const Caller& caller, const State& state, std::int64_t scheduler_uid);

}  // namespace ultramarine::api
