// What accounts may have and what they have. Limits count an account with all accounts under it, and so do these gauges: sums over accounts of different
// depths count twice.
#include <algorithm>
#include <optional>
#include <set>

#include "scheduler/core/fair_share.h"
#include "scheduler/core/limits.h"
#include "scheduler/core/report.h"
#include "scheduler/metrics/family.h"
#include "scheduler/metrics/gauges.h"

namespace ultramarine::metrics {

namespace {

constexpr double ms_per_hour = 3'600'000;
using OfAccount = std::map<std::string, std::int64_t>;

/// Adds what each account has to all that it is under.
OfAccount with_accounts_below(const ClusterConfig& cluster, const OfAccount& own) {
  OfAccount sums;
  for (const auto& [name, value] : own)
    for (const AccountConfig* account : core::account_and_above(cluster, name)) sums[account->name] += value;
  return sums;
}

/// GPU-milliseconds held since the month began, running jobs included, by account alone.
OfAccount held_this_month(const State& state, Time now) {
  OfAccount held;
  for (const AccountConfig& account : state.cluster.accounts) held[account.name] = core::held_in_period(state.period, LimitScope::account, account.name, "");
  for (const auto& [id, job] : state.jobs) {
    if (!is_active(job.state) || job.attempts.empty()) continue;
    const Attempt& attempt = job.attempts.back();
    const Time from = std::max(attempt.decided_ms, state.period.start_ms), until = std::min(now, state.period.end_ms);
    if (until > from) held[job.spec.account] += core::gpus_of(attempt.allocation) * (until - from).ms;
  }
  return held;
}

/// Jain's index of usage / share over accounts, 1/n to 1: (sum x)^2 / (n sum x^2), Jain, Chiu & Hawe 1984. Nobody has used anything: 1.
std::optional<double> jain_index(const std::vector<double>& values) {
  if (values.empty()) return std::nullopt;
  double sum = 0, squares = 0;
  for (const double value : values) {
    sum += value;
    squares += value * value;
  }
  return squares > 0 ? sum * sum / (static_cast<double>(values.size()) * squares) : 1;
}

void shares(const Scrape& scrape, Families& families) {
  Family entitled("account_share_ratio", "Part of the cluster that the account's shares entitle it to, with all under it.");
  Family used("account_usage_ratio", "Part of all usage that is the account's, with all under it; the past fades.");
  Family factors("account_priority_factor", "Fair-share factor of the account's user who is next, 0 to 1.");
  Family fairness("fairness_jain_ratio", "Jain's index of usage by share, over accounts that have used something or have jobs; 1 is even.");
  std::set<std::string> have_jobs, parents;
  for (const auto& [id, job] : scrape.state.jobs)
    if (!is_terminal(job.state)) have_jobs.insert(job.spec.account);
  for (const AccountConfig& account : scrape.state.cluster.accounts) parents.insert(account.parent);
  std::map<std::string, double> entitled_to;
  std::vector<double> by_share;
  constexpr auto one = static_cast<double>(factor_one);
  for (const AccountShare& row : core::FairShare(scrape.state, scrape.now_ms).shares()) {
    const Labels labels{{"account", row.account}};
    if (!row.user.empty()) {
      if (row.fair_share && row.depth > 1) factors.at_least(labels, static_cast<double>(*row.fair_share) / one);
      continue;
    }
    if (row.depth == 0) continue;
    const double share = static_cast<double>(row.norm_shares) / one * (row.depth > 1 ? entitled_to[row.parent] : 1);
    const double usage = static_cast<double>(row.norm_usage) / one;
    entitled_to[row.account] = share;
    entitled.add(labels, share);
    used.add(labels, usage);
    const bool has_demand = have_jobs.count(row.account) != 0 || row.raw_usage_gpu_ms > 0;
    if (parents.count(row.account) == 0 && has_demand && share > 0) by_share.push_back(usage / share);
  }
  if (const auto index = jain_index(by_share)) fairness.add({}, *index);
  for (Family* family : {&entitled, &used, &factors, &fairness}) family->into(families);
}

void loans(const Scrape& scrape, Families& families) {
  Family guaranteed("account_guaranteed_gpus", "GPUs within which the account's jobs come before all others.");
  Family allocated("account_allocated_gpus", "GPUs that the account's jobs hold.");
  Family borrowed("account_borrowed_gpus", "GPUs that the account's jobs hold beyond its soft cap.");
  OfAccount own;
  for (const auto& [id, job] : scrape.state.jobs)
    if (is_active(job.state) && !job.attempts.empty()) own[job.spec.account] += core::gpus_of(job.attempts.back().allocation);
  OfAccount held = with_accounts_below(scrape.state.cluster, own);
  for (const AccountConfig& account : scrape.state.cluster.accounts) {
    const Labels labels{{"account", account.name}};
    const std::int64_t gpus = held[account.name];
    guaranteed.add(labels, static_cast<double>(account.limits.gpus_floor.value_or(0)));
    allocated.add(labels, static_cast<double>(gpus));
    borrowed.add(labels, static_cast<double>(std::max<std::int64_t>(gpus - account.limits.gpus_soft.value_or(gpus), 0)));
  }
  for (Family* family : {&guaranteed, &allocated, &borrowed}) family->into(families);
}

void budgets(const Scrape& scrape, Families& families) {
  if (scrape.state.period.end_ms.ms == 0) return;
  Family used("account_budget_used_ratio", "Of the GPU-hours that an account may hold in a month: how much it has held in this one.");
  OfAccount held = with_accounts_below(scrape.state.cluster, held_this_month(scrape.state, scrape.now_ms));
  for (const AccountConfig& account : scrape.state.cluster.accounts)
    if (const auto hours = account.limits.gpu_hours_per_month; hours && *hours > 0)
      used.add({{"account", account.name}, {"period", "month"}}, static_cast<double>(held[account.name]) / ms_per_hour / static_cast<double>(*hours));
  used.into(families);
}

}  // namespace

void account_gauges(const Scrape& scrape, Families& families) {
  shares(scrape, families);
  loans(scrape, families);
  budgets(scrape, families);
}

}  // namespace ultramarine::metrics
