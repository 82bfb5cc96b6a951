// See fair_share.h. The description that this follows: https://slurm.schedmd.com/fair_tree.html. Where we differ: usage fades continuously, and
// fractions are compared exactly.
#include "scheduler/core/fair_share.h"

#include <algorithm>
#include <optional>

#include "scheduler/core/decay.h"
#include "scheduler/core/lifecycle.h"
#include "scheduler/core/wide.h"

namespace ultramarine::core {
namespace {

constexpr std::string_view root_name = "root";

std::int64_t devices_of(const Attempt& attempt) {
  std::int64_t devices = 0;
  for (const NodeAllocation& on_node : attempt.allocation) devices += static_cast<std::int64_t>(on_node.devices.size());
  return devices;
}

std::int64_t usage_factor_permille(const ClusterConfig& cluster, const std::string& name) {
  for (const QosConfig& qos : cluster.qos)
    if (qos.name == name) return std::max<std::int64_t>(qos.usage_factor_permille, 0);
  return 1000;
}

/// What holding so many devices from `from` to `to` counts at `to`.
std::int64_t charge(const State& state, const Job& job, Time from, Time to) {
  const Wide held = Wide{devices_of(job.attempts.back())} * faded_length_ms(to - from, state.policy.half_life_ms);
  return narrowed(held * usage_factor_permille(state.cluster, job.spec.qos) / 1000);
}

ActiveJobs active_jobs(const State& state) {
  ActiveJobs active;
  for (const auto& [id, job] : state.jobs)
    if (is_active(job.state)) active.emplace_hint(active.end(), id, &job);
  return active;
}

/// A part of the shares / a part of the usage.
Fraction level_of(std::int64_t shares, std::int64_t all_shares, std::int64_t usage, std::int64_t all_usage) {
  if (shares == 0) return {0, 1};
  const auto number = [](std::int64_t value) { return UnsignedWide{static_cast<std::uint64_t>(value)}; };
  return {number(shares) * number(all_usage), number(all_shares) * number(usage)};
}

/// What is charged so far, as it counts at a tick.
std::int64_t charged_at(const Usage& usage, Time tick, Duration half_life) {
  if (tick <= usage.as_of_ms) return usage.gpu_ms;
  return saturating_sum(faded(usage.gpu_ms, tick - usage.as_of_ms, half_life), faded(usage.later_gpu_ms, tick - usage.later_as_of_ms, half_life));
}

}  // namespace

Time priority_tick(const PolicyConfig& policy, Time now) {
  const std::int64_t interval = std::max<std::int64_t>(policy.priority_interval_ms.ms, 1);
  const std::int64_t since = now.ms % interval;
  return {now.ms - (since < 0 ? since + interval : since)};
}

std::string user_name(const Actor& owner) { return owner.name.empty() ? "uid " + std::to_string(owner.uid) : owner.name; }

void note_submission(State& state, Time now, const Job& job) {
  state.usage[job.spec.account].try_emplace(user_name(job.owner), Usage{.since_ms = now});
}

void charge_ended_attempt(State& state, Time now, const Job& job) {
  const Time tick = priority_tick(state.policy, now), decided = job.attempts.back().decided_ms;
  const Duration half_life = state.policy.half_life_ms;
  Usage& usage = state.usage[job.spec.account][user_name(job.owner)];
  if (tick > usage.as_of_ms) {
    usage.gpu_ms = charged_at(usage, tick, half_life);
    usage.as_of_ms = tick;
    usage.later_gpu_ms = 0;
  }
  if (decided < tick) usage.gpu_ms = saturating_sum(usage.gpu_ms, charge(state, job, decided, tick));
  usage.later_gpu_ms = saturating_sum(faded(usage.later_gpu_ms, now - usage.later_as_of_ms, half_life), charge(state, job, std::max(decided, tick), now));
  usage.later_as_of_ms = now;
}

FairShare::FairShare(const State& state, Time now) : FairShare(state, now, active_jobs(state)) {}

FairShare::FairShare(const State& state, Time now, const ActiveJobs& active) {
  build_tree(state);
  add_members(state, now, active);
  sum_up(0);
  rank_all();
  rank_newcomers();
}

void FairShare::build_tree(const State& state) {
  tree_.push_back({.name = root_name, .shares = 1});
  for (const AccountConfig& config : state.cluster.accounts) {
    if (!by_name_.emplace(config.name, tree_.size()).second) continue;
    tree_.push_back({.name = config.name, .config = &config, .shares = std::max<std::int64_t>(config.shares, 0)});
  }
  for (std::size_t account = 1; account < tree_.size(); ++account) {
    const auto parent = by_name_.find(tree_[account].config->parent);
    tree_[account].parent = parent == by_name_.end() ? 0 : parent->second;
    tree_[tree_[account].parent].accounts.push_back(account);
  }
}

void FairShare::add_members(const State& state, Time now, const ActiveJobs& active) {
  const Time tick = priority_tick(state.policy, now);
  for (const auto& [account, users] : state.usage) {
    const auto at = by_name_.find(account);
    if (at == by_name_.end()) continue;  // it left the cluster file
    for (const auto& [user, usage] : users)
      tree_[at->second].members.push_back(
          {.name = user, .usage = charged_at(usage, tick, state.policy.half_life_ms), .after_tick = usage.since_ms >= tick});
  }
  for (const auto& [id, running] : active) {
    const Job& job = *running;
    const auto place = find(job.spec.account, user_name(job.owner));
    if (!place) continue;
    Member& member = tree_[place->account].members[place->member];
    const Attempt& attempt = job.attempts.back();
    if (attempt.decided_ms < tick) member.usage = saturating_sum(member.usage, charge(state, job, attempt.decided_ms, tick));
    const Duration left = attempt.started_ms.value_or(attempt.decided_ms) + time_limit(job, attempt) - now;
    member.running_gpu_ms = saturating_sum(member.running_gpu_ms, narrowed(Wide{devices_of(attempt)} * std::max<std::int64_t>(left.ms, 0)));
  }
}

void FairShare::sum_up(std::size_t at) {
  for (const std::size_t child : tree_[at].accounts) {
    tree_[child].depth = tree_[at].depth + 1;
    sum_up(child);
  }
  Account& account = tree_[at];
  for (const std::size_t child : account.accounts) {
    account.shares_inside = saturating_sum(account.shares_inside, tree_[child].shares);
    account.usage = saturating_sum(account.usage, tree_[child].usage);
    account.running_gpu_ms = saturating_sum(account.running_gpu_ms, tree_[child].running_gpu_ms);
    account.users += tree_[child].users;
  }
  for (const Member& member : account.members) {
    account.usage = saturating_sum(account.usage, member.usage);
    account.running_gpu_ms = saturating_sum(account.running_gpu_ms, member.running_gpu_ms);
    if (member.after_tick) continue;
    account.shares_inside = saturating_sum(account.shares_inside, 1);
    ++account.users;
  }
}

void FairShare::rank_all() {
  std::int64_t last = tree_[0].users, next = last;
  rank({0}, false, last, next);
}

void FairShare::rank(const std::vector<std::size_t>& accounts, bool tied, std::int64_t& last, std::int64_t& next) {
  struct Sibling {
    Fraction level;  // its part of the shares / its part of the usage
    Member* user = nullptr;
    std::size_t account = 0;
  };
  std::vector<Sibling> siblings;
  for (const std::size_t at : accounts) {
    Account& parent = tree_[at];
    const auto add = [&](std::int64_t shares, std::int64_t usage, Member* user, std::size_t account) {
      siblings.push_back({level_of(shares, parent.shares_inside, usage, parent.usage), user, account});
    };
    for (Member& member : parent.members)
      if (!member.after_tick) add(1, member.usage, &member, 0);
    for (const std::size_t child : parent.accounts)
      if (tree_[child].users > 0) add(tree_[child].shares, tree_[child].usage, nullptr, child);
  }
  std::stable_sort(siblings.begin(), siblings.end(), [](const Sibling& a, const Sibling& b) {
    const auto order = compare(a.level, b.level);
    return order != 0 ? order > 0 : (a.user != nullptr) > (b.user != nullptr);
  });
  for (std::size_t i = 0; i < siblings.size(); ++i) {
    if (i > 0) tied = compare(siblings[i - 1].level, siblings[i].level) == 0;
    if (siblings[i].user) {
      if (!tied) last = next;
      siblings[i].user->rank = last;
      --next;
      continue;
    }
    std::vector<std::size_t> together{siblings[i].account};
    while (i + 1 < siblings.size() && compare(siblings[i].level, siblings[i + 1].level) == 0) together.push_back(siblings[++i].account);
    rank(together, tied, last, next);
  }
}

/// A newcomer's rank is what it would be if he alone had been there at the tick. All newcomers of an account have used the same: nothing.
void FairShare::rank_newcomers() {
  for (std::size_t at = 1; at < tree_.size(); ++at) {
    const auto first = std::find_if(tree_[at].members.begin(), tree_[at].members.end(), [](const Member& member) { return member.after_tick; });
    if (first == tree_[at].members.end()) continue;
    FairShare copy = *this;
    Member& newcomer = copy.tree_[at].members[static_cast<std::size_t>(first - tree_[at].members.begin())];
    newcomer.after_tick = false;
    copy.tree_[at].shares_inside = saturating_sum(copy.tree_[at].shares_inside, 1);
    for (std::size_t above = at;; above = copy.tree_[above].parent) {
      ++copy.tree_[above].users;
      if (above == 0) break;
    }
    copy.rank_all();
    tree_[at].factor_of_newcomer = scaled(newcomer.rank, factor_one, copy.tree_[0].users);
  }
}

std::optional<FairShare::Place> FairShare::find(std::string_view account, std::string_view user) const {
  const auto found = by_name_.find(account);
  if (found == by_name_.end()) return std::nullopt;
  const auto& members = tree_[found->second].members;
  const auto member = std::lower_bound(members.begin(), members.end(), user, [](const Member& one, std::string_view name) { return one.name < name; });
  if (member == members.end() || member->name != user) return std::nullopt;
  return Place{found->second, static_cast<std::size_t>(member - members.begin())};
}

std::int64_t FairShare::factor(std::string_view account, std::string_view user) const {
  const auto place = find(account, user);
  if (!place) return 0;
  const Member& member = tree_[place->account].members[place->member];
  return member.after_tick ? tree_[place->account].factor_of_newcomer : scaled(member.rank, factor_one, tree_[0].users);
}

std::vector<AccountShare> FairShare::shares() const {
  std::vector<AccountShare> rows;
  list(0, rows);
  return rows;
}

void FairShare::list(std::size_t at, std::vector<AccountShare>& rows) const {
  const std::int64_t all_usage = tree_[0].usage;
  const auto add = [&](const Account& inside, std::int64_t all_shares, std::int64_t shares, std::int64_t usage, std::int64_t running) -> AccountShare& {
    AccountShare row;
    row.raw_shares = shares;
    row.raw_usage_gpu_ms = usage;
    row.norm_shares = scaled(shares, factor_one, all_shares);
    row.norm_usage = scaled(usage, factor_one, all_usage);
    row.effective_usage = scaled(usage, factor_one, inside.usage);
    row.level_fair_share = in_parts(level_of(shares, all_shares, usage, inside.usage), factor_one);
    row.running_gpu_ms = running;
    return rows.emplace_back(std::move(row));
  };
  const Account& account = tree_[at];
  if (at == 0) {
    rows.push_back({.account = std::string(root_name), .raw_usage_gpu_ms = all_usage, .norm_usage = all_usage > 0 ? factor_one : 0,
                    .effective_usage = all_usage > 0 ? factor_one : 0, .running_gpu_ms = account.running_gpu_ms});
  } else {
    const Account& parent = tree_[account.parent];
    AccountShare& row = add(parent, parent.shares_inside, account.shares, account.usage, account.running_gpu_ms);
    row.account = account.name;
    row.parent = parent.name;
    row.depth = account.depth;
    row.gpu_hours_per_month = account.config->limits.gpu_hours_per_month;
  }
  for (const Member& member : account.members) {
    AccountShare& row = add(account, saturating_sum(account.shares_inside, member.after_tick ? 1 : 0), 1, member.usage, member.running_gpu_ms);
    row.account = account.name;
    row.user = member.name;
    row.parent = account.name;
    row.depth = account.depth + 1;
    row.fair_share = factor(account.name, member.name);
    if (account.config) row.gpu_hours_per_month = account.config->user_limits.gpu_hours_per_month;
  }
  for (const std::size_t child : account.accounts) list(child, rows);
}

}  // namespace ultramarine::core
