// The table.
#include "scheduler/api/roles.h"

#include <algorithm>
#include <array>

namespace ultramarine::api {

namespace {

struct Rule {
  Act act;
  Role role;
  const char* what;  // "only an admin may ..."
};

constexpr std::array rules{
    Rule{Act::drain_nodes, Role::admin, "drain and resume nodes"},
    Rule{Act::reserve_nodes, Role::admin, "make and cancel reservations"},
    Rule{Act::reload, Role::admin, "have the configuration read again"},
    Rule{Act::shut_down, Role::admin, "shut the scheduler down"},
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
  if (has_role(rule.role, caller, state, scheduler_uid)) return std::nullopt;
  std::string who = rule.role == Role::admin ? "root or the user who runs the scheduler (uid " + std::to_string(scheduler_uid) + ")" : "";
  for (const std::string& one : members(rule.role, state.cluster.roles)) who += (who.empty() ? "" : ", ") + one;
  return not_permitted("only " + std::string(word(rule.role)) + " may " + rule.what, "ask " + (who.empty() ? "for the role" : who));
}

}  // namespace ultramarine::api
