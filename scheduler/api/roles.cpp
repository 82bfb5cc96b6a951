// The table, and how it is read.
#include "scheduler/api/roles.h"

#include <algorithm>
#include <array>
#include <optional>

#include "scheduler/api/job_name.h"
#include "scheduler/api/phrases.h"
#include "scheduler/core/fair_share.h"

namespace ultramarine::api {

namespace {

constexpr std::array all_roles{Role::user, Role::lead, Role::manager, Role::admin, Role::auditor};

const std::vector<std::string>& members(Role role, const RolesConfig& roles) {
  switch (role) {
    case Role::user: return roles.user;
    case Role::lead: return roles.lead;
    case Role::manager: return roles.manager;
    case Role::auditor: return roles.auditor;
    case Role::admin: break;
  }
  return roles.admin;
}

const char* word(Role role) {
  switch (role) {
    case Role::user: return "a user";
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
    if (one == "*") return true;
    if (one[0] == '@') return std::find(caller.groups.begin(), caller.groups.end(), one.substr(1)) != caller.groups.end();
    return !caller.actor.name.empty() && one == caller.actor.name;
  });
}

/// A member of the account, or of one above it.
bool belongs_to(const Caller& caller, std::string account, const State& state) {
  const auto& accounts = state.cluster.accounts;
  for (std::size_t above = 0; above <= accounts.size(); ++above) {
    const auto its = std::find_if(accounts.begin(), accounts.end(), [&](const AccountConfig& one) { return one.name == account; });
    if (its == accounts.end()) return false;
    if (is_one_of(caller, its->members)) return true;
    account = its->parent;
  }
  return false;
}

const Rule& rule_of(Act act) {
  return *std::find_if(rules().begin(), rules().end(), [&](const Rule& one) { return one.act == act; });
}

/// Whoever the cluster file names for a role. Admins are there without being named.
std::vector<std::string> people(Role role, const State& state, std::int64_t scheduler_uid) {
  std::vector<std::string> found = members(role, state.cluster.roles);
  if (role == Role::admin) found.insert(found.begin(), "root or the user who runs the scheduler (uid " + std::to_string(scheduler_uid) + ")");
  return found;
}

/// The people of all roles that may do it whosever job it is.
std::string whom_to_ask(const Rule& rule, const State& state, std::int64_t scheduler_uid) {
  std::vector<std::string> found;
  for (const Role role : {Role::admin, Role::manager, Role::auditor, Role::lead, Role::user})
    if (reach(rule, role) == Reach::all)
      for (std::string& one : people(role, state, scheduler_uid)) found.push_back(std::move(one));
  return joined(found, ", ");
}

}  // namespace

const std::vector<Rule>& rules() {
  using enum Reach;
  static const std::vector<Rule> table{
      //                                                                                          user  lead     manager  admin  auditor
      {Act::submit, "submit jobs",                                                                own,  own,     own,     own,   none},
      {Act::see, "see what a job runs",                                                           own,  account, all,     all,   all},
      {Act::read_output, "read what a job writes",                                                own,  account, all,     all,   none},
      {Act::cancel, "cancel and requeue jobs",                                                    own,  account, none,    all,   none},
      {Act::hold, "hold and release jobs",                                                        own,  account, none,    all,   none},
      {Act::edit, "change what a job asks for",                                                   own,  account, none,    all,   none},
      {Act::reorder, "reorder jobs",                                                              own,  account, none,    all,   none},
      {Act::boost, "put a job ahead of all others",                                               none, none,    all,     all,   none},
      {Act::extend, "give a job more time",                                                       none, none,    none,    all,   none},
      {Act::go_ahead, "put a job ahead of others by a nice value below 0",                        none, none,    all,     all,   none},
      {Act::drain_nodes, "drain and resume nodes",                                                none, none,    none,    all,   none},
      {Act::lose_nodes, "say that a node is lost",                                                none, none,    none,    all,   none},
      {Act::reserve_nodes, "make and cancel reservations",                                        none, none,    none,    all,   none},
      {Act::reload, "have the configuration read again",                                          none, none,    none,    all,   none},
      {Act::shut_down, "shut the scheduler down",                                                 none, none,    none,    all,   none},
  };
  return table;
}

Reach reach(const Rule& rule, Role role) {
  switch (role) {
    case Role::user: return rule.user;
    case Role::lead: return rule.lead;
    case Role::manager: return rule.manager;
    case Role::auditor: return rule.auditor;
    case Role::admin: break;
  }
  return rule.admin;
}

bool has_role(Role role, const Caller& caller, const State& state, std::int64_t scheduler_uid) {
  if (!caller.identified) return false;
  if (role == Role::admin && (caller.actor.uid == 0 || caller.actor.uid == scheduler_uid)) return true;
  if (role == Role::user && state.cluster.roles.user.empty()) return true;
  return is_one_of(caller, members(role, state.cluster.roles));
}

bool may(Act act, const Caller& caller, const Job& job, const State& state, std::int64_t scheduler_uid) {
  const Rule& rule = rule_of(act);
  return std::any_of(all_roles.begin(), all_roles.end(), [&](Role role) {
    const Reach its = reach(rule, role);
    if (its == Reach::none || !has_role(role, caller, state, scheduler_uid)) return false;
    if (its == Reach::all || caller.actor.uid == job.owner.uid) return true;
    return its == Reach::account && belongs_to(caller, job.spec.account, state);
  });
}

std::optional<Problem> why_not(Act act, const Caller& caller, const Job& job, const State& state, std::int64_t scheduler_uid) {
  if (may(act, caller, job, state, scheduler_uid)) return std::nullopt;
  const Rule& rule = rule_of(act);
  if (rule.user == Reach::none) return why_not(act, caller, state, scheduler_uid);
  const std::string owner = core::user_name(job.owner);
  std::string remedy = "ask the owner";
  if (rule.lead == Reach::account && !state.cluster.roles.lead.empty()) remedy += ", a lead of " + job.spec.account + " (" + joined(state.cluster.roles.lead, ", ") + ")";
  return not_permitted("job " + text_of(job) + " belongs to " + owner, remedy + ", or " + whom_to_ask(rule, state, scheduler_uid));
}

std::optional<Problem> why_not(Act act, const Caller& caller, const State& state, std::int64_t scheduler_uid) {
  const Rule& rule = rule_of(act);
  std::vector<std::string> roles;
  for (const Role role : {Role::user, Role::lead, Role::admin, Role::manager, Role::auditor}) {
    if (reach(rule, role) == Reach::none) continue;
    if (has_role(role, caller, state, scheduler_uid)) return std::nullopt;
    roles.emplace_back(word(role));
  }
  std::string whom = whom_to_ask(rule, state, scheduler_uid);
  if (whom.empty()) whom = "one of them";
  return not_permitted("only " + joined(roles, " or ") + " may " + rule.what, "ask " + whom);
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
