// The table.
#include "scheduler/api/roles.h"

#include <algorithm>
#include <array>
#include <optional>

namespace ultramarine::api {

namespace {

struct Rule {
  Act act;
  Role role;
  const char* what;  // "only an admin may ..."
  std::optional<Role> or_role = {};
};

constexpr std::array rules{
    Rule{Act::drain_nodes, Role::admin, "drain and resume nodes"},
    Rule{Act::lose_nodes, Role::admin, "say that a node is lost"},
    Rule{Act::reserve_nodes, Role::admin, "make and cancel reservations"},
    Rule{Act::reload, Role::admin, "have the configuration read again"},
    Rule{Act::shut_down, Role::admin, "shut the scheduler down"},
    Rule{Act::go_ahead, Role::admin, "put a job ahead of others by a nice value below 0", Role::manager},
};

const std::vector<std::string>& members(Role role, const RolesConfig& roles) {
  switch (role) {
    case Role::lead: return roles.lead;
    case Role::manager: return roles.manager;
    case Role::auditor: return roles.auditor;
    case Role::admin: break;
  }
  return roles.admin;
}

const char* word(Role role) {
  switch (role) {
    case Role::lead: return "a lead";
    case Role::manager: return "a manager";
    case Role::auditor: return "an auditor";
    case Role::admin: break;
  }
  return "an admin";
}

bool is_one_of(const Caller& caller, const std::vector<std::string>& people) {
  return std::any_of(people.begin(), people.end(), [&](const std::string& one) {
    if (one.empty()) return false;
    if (one[0] == '@') return std::find(caller.groups.begin(), caller.groups.end(), one.substr(1)) != caller.groups.end();
    return !caller.actor.name.empty() && one == caller.actor.name;
  });
}

}  // namespace

bool has_role(Role role, const Caller& caller, const State& state, std::int64_t scheduler_uid) {
  if (!caller.identified) return false;
  if (role == Role::admin && (caller.actor.uid == 0 || caller.actor.uid == scheduler_uid)) return true;
  return is_one_of(caller, members(role, state.cluster.roles));
}

std::optional<Problem> why_not(Act act, const Caller& caller, const State& state, std::int64_t scheduler_uid) {
  const Rule& rule = *std::find_if(rules.begin(), rules.end(), [&](const Rule& one) { return one.act == act; });
  if (has_role(rule.role, caller, state, scheduler_uid) || (rule.or_role && has_role(*rule.or_role, caller, state, scheduler_uid))) return std::nullopt;
  std::string who = rule.role == Role::admin ? "root or the user who runs the scheduler (uid " + std::to_string(scheduler_uid) + ")" : "";
  std::string roles = word(rule.role);
  for (const std::string& one : members(rule.role, state.cluster.roles)) who += (who.empty() ? "" : ", ") + one;
  if (rule.or_role) {
    roles += std::string(" or ") + word(*rule.or_role);
    for (const std::string& one : members(*rule.or_role, state.cluster.roles)) who += (who.empty() ? "" : ", ") + one;
  }
  return not_permitted("only " + roles + " may " + rule.what, "ask " + (who.empty() ? "for the role" : who));
}

void check_nice(const JobSpec& spec, const Caller& caller, const State& state, std::int64_t scheduler_uid) {
  if (spec.nice >= 0) return;
  auto problem = why_not(Act::go_ahead, caller, state, scheduler_uid);
  if (!problem) return;
  problem->field = "spec.nice";
  problem->remedy = "use 0 or more, or " + problem->remedy;
  throw *problem;
}

}  // namespace ultramarine::api
