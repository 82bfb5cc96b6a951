// What orders the queue: the priorities of the jobs that wait, and the shares behind one of their factors.
#include <algorithm>
#include <set>

#include "scheduler/api/handlers.h"
#include "scheduler/api/views.h"
#include "scheduler/core/priority.h"
#include "scheduler/protocol/api_messages.h"

namespace ultramarine::api {

std::optional<protocol::PriorityOfJob> priority_of(const core::Priorities& priorities, const State& state, const Job& job) {
  const PolicyConfig& policy = state.policy;
  if (job.state != JobState::queued || policy.order != "multifactor") return std::nullopt;
  return protocol::PriorityOfJob{priorities.of(job), priorities.weights(), priorities.tick(), policy.first_after_max_age ? std::optional(policy.max_age_ms) : std::nullopt};
}

std::optional<protocol::PriorityOfJob> priority_of(const Snapshot& snapshot, const Job& job) {
  if (job.state != JobState::queued || snapshot.state->policy.order != "multifactor") return std::nullopt;
  // As of the plan, so that the numbers are those that its order was made from.
  return priority_of(core::Priorities(*snapshot.state, snapshot.plan->now_ms), *snapshot.state, job);
}

namespace {

void must_be_account(const State& state, const std::string& name) {
  if (name.empty()) return;
  const auto& accounts = state.cluster.accounts;
  if (std::none_of(accounts.begin(), accounts.end(), [&](const AccountConfig& account) { return account.name == name; }))
    throw not_found("there is no account " + name, "'ultra shares' lists them");
}

protocol::PriorityList priority_list(const Snapshot& snapshot, const std::string& user, const std::string& account) {
  const State& state = *snapshot.state;
  must_be_account(state, account);
  // As of the plan, so that the numbers are those that its order was made from.
  const core::Priorities priorities(state, snapshot.plan->now_ms);
  protocol::PriorityList list{.now_ms = snapshot.now_ms, .tick_ms = priorities.tick(), .order = state.policy.order, .weights = priorities.weights(),
                              .max_age_ms = state.policy.max_age_ms, .jobs = {}};
  for (const PlannedJob& line : snapshot.plan->jobs) {
    const Job& job = state.jobs.at(line.job);
    if (job.state != JobState::queued || (!account.empty() && account != job.spec.account)) continue;
    if (!user.empty() && user != job.owner.name && user != std::to_string(job.owner.uid)) continue;
    list.jobs.push_back({text_of(job), line.position, core::user_name(job.owner), job.spec.account, job.spec.partition, job.spec.qos, priorities.of(job)});
  }
  return list;
}

protocol::ShareList share_list(const Snapshot& snapshot, const std::string& user, const std::string& account) {
  const State& state = *snapshot.state;
  must_be_account(state, account);
  const Time at = snapshot.plan->now_ms;
  protocol::ShareList list{.now_ms = snapshot.now_ms, .tick_ms = core::priority_tick(state.policy, at), .half_life_ms = state.policy.half_life_ms, .shares = {}};
  const std::vector<AccountShare> all = core::FairShare(state, at).shares();
  std::set<std::string> accounts_of_user;
  for (const AccountShare& share : all)
    if (share.user == user) accounts_of_user.insert(share.account);
  for (const AccountShare& share : all) {
    if (!account.empty() && share.account != account) continue;
    if (!user.empty() && (share.user.empty() ? !accounts_of_user.contains(share.account) : share.user != user)) continue;
    list.shares.push_back(share);
  }
  return list;
}

}  // namespace

void list_priorities(const ExchangePtr& exchange) {
  exchange->backend.ask([exchange](const SnapshotPtr& snapshot) {
    try {
      exchange->answer(priority_list(*snapshot, text_parameter(*exchange, "user"), text_parameter(*exchange, "account")));
    } catch (const Problem& problem) {
      exchange->refuse(problem);
    }
  });
}

void list_shares(const ExchangePtr& exchange) {
  exchange->backend.ask([exchange](const SnapshotPtr& snapshot) {
    try {
      exchange->answer(share_list(*snapshot, text_parameter(*exchange, "user"), text_parameter(*exchange, "account")));
    } catch (const Problem& problem) {
      exchange->refuse(problem);
    }
  });
}

}  // namespace ultramarine::api
