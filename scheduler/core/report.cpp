// See report.h; what each number means is said in model/report.h.
#include "scheduler/core/report.h"

#include <algorithm>
#include <boost/mp11/algorithm.hpp>
#include <map>

#include "scheduler/core/fair_share.h"
#include "scheduler/core/gangs.h"
#include "scheduler/core/limits.h"
#include "scheduler/core/prices.h"
#include "scheduler/core/wide.h"

namespace ultramarine::core {
namespace {

struct Period {
  Time start, end;
  bool has(Time time) const { return time >= start && time < end; }
  /// How much of [from, to) lies in it.
  std::int64_t part_ms(Time from, Time to) const { return std::max<std::int64_t>((std::min(to, end) - std::max(from, start)).ms, 0); }
};

/// A row, and the waits that its median is taken of.
struct Sums {
  AccountReport row;
  std::vector<Duration> waits;
};

/// It did not do what it was started for, and nobody had asked it to stop.
bool is_failure(const Attempt& attempt) {
  switch (attempt.outcome.value_or(Outcome::succeeded)) {
    case Outcome::succeeded:
    case Outcome::cancelled:
    case Outcome::preempted: return false;
    case Outcome::timed_out:
    case Outcome::out_of_memory: return !attempt.trial_ms;  // a trial may end like this, and its job waits for its own turn
    default: return true;
  }
}

std::optional<Time> ranks_finished(const Attempt& attempt) {
  const Gang* gang = find_gang(attempt, 1);
  return gang ? gang->finished_ms : std::nullopt;
}

void add_attempt(AccountReport& row, const Attempt& attempt, const Period& period, Time now) {
  const std::int64_t gpus = gpus_of(attempt.allocation);
  const Time end = attempt.ended_ms.value_or(now);
  const std::int64_t held_ms = gpus * period.part_ms(attempt.decided_ms, end);
  row.used_gpu_ms += held_ms;
  if (is_failure(attempt)) {
    row.failed_gpu_ms += held_ms;
    return;
  }
  row.idle_gpu_ms += gpus * period.part_ms(attempt.decided_ms, attempt.started_ms.value_or(end));
  if (attempt.started_ms) row.idle_gpu_ms += gpus * period.part_ms(ranks_finished(attempt).value_or(end), end);
}

Duration ran(const Job& job) {
  Duration sum{0};
  for (const Attempt& attempt : job.attempts)
    if (attempt.started_ms && attempt.ended_ms) sum = sum + (ranks_finished(attempt).value_or(*attempt.ended_ms) - *attempt.started_ms);
  return sum;
}

void add_job(Sums& sums, const Job& job, const Period& period, Time now) {
  AccountReport& row = sums.row;
  bool held = false, started = false;
  for (const Attempt& attempt : job.attempts) {
    if (attempt.allocation.empty()) continue;  // it was rejected, and held nothing
    add_attempt(row, attempt, period, now);
    if (!held && period.has(attempt.decided_ms)) ++row.jobs_tried;
    if (!started && !attempt.trial_ms && period.has(attempt.decided_ms)) sums.waits.push_back(attempt.decided_ms - job.submitted_ms);
    held = true;
    started = started || !attempt.trial_ms;
  }
  if (!job.ended_ms || !period.has(*job.ended_ms)) return;
  if (job.state == JobState::completed) ++row.jobs_completed;
  if (job.state != JobState::failed) return;
  ++row.jobs_failed;
  if (held && ran(job) <= early_failure) ++row.jobs_failed_early;
}

void add_bill(std::map<std::string, Sums>& all, const State& state, const Bill& bill) {
  if (bill.favour == Favour::boost || bill.favour == Favour::extend) {
    if (const auto job = state.jobs.find(bill.job); job != state.jobs.end()) {
      AccountReport& buyer = all[job->second.spec.account].row;
      ++buyer.boosts_bought;
      buyer.boosts_bought_gpu_ms = saturating_sum(buyer.boosts_bought_gpu_ms, bill.displaced_gpu_ms);
    }
  }
  for (const MovedStart& moved : bill.delayed) {
    if (!moved.before_ms || !moved.after_ms || moved.account.empty()) continue;  // a delay without an end has no length
    std::int64_t& suffered = all[moved.account].row.boosts_suffered_gpu_ms;
    suffered = saturating_sum(suffered, narrowed(Wide{moved.gpus} * (*moved.after_ms - *moved.before_ms).ms));
  }
}

std::optional<Duration> median(std::vector<Duration> values) {
  if (values.empty()) return std::nullopt;
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : Duration{(values[middle - 1].ms + values[middle].ms) / 2};
}

/// What follows from the sums alone.
void finish(AccountReport& row, std::vector<Duration> waits) {
  if (row.jobs_completed > 0) row.cost_per_completed_milli = (row.cost_milli + row.jobs_completed / 2) / row.jobs_completed;
  row.median_wait_ms = median(std::move(waits));
}

void add(AccountReport& total, const AccountReport& row) {
  boost::mp11::mp_for_each<boost::describe::describe_members<AccountReport, boost::describe::mod_public>>([&](auto member) {
    if constexpr (std::is_same_v<std::decay_t<decltype(row.*member.pointer)>, std::int64_t>) total.*member.pointer += row.*member.pointer;
  });
}

/// Whether `account` is `above`, or somewhere under it.
bool is_under(const std::map<std::string, std::string>& parents, std::string account, const std::string& above) {
  for (std::size_t steps = 0; steps <= parents.size(); ++steps) {
    if (account == above) return true;
    const auto parent = parents.find(account);
    if (parent == parents.end()) return false;
    account = parent->second;
  }
  return false;
}

}  // namespace

std::int64_t held_gpu_ms(const Attempt& attempt, Time now) {
  return gpus_of(attempt.allocation) * std::max<std::int64_t>((attempt.ended_ms.value_or(now) - attempt.decided_ms).ms, 0);
}

Report report(const State& state, Time start, Time end, Time now, const std::string& account) {
  const Period period{start, end};
  std::map<std::string, Sums> all;
  for (const auto& [id, job] : state.jobs) add_job(all[job.spec.account], job, period, now);
  for (const Bill& bill : state.bills)
    if (period.has(bill.at_ms)) add_bill(all, state, bill);

  // The rows in order: the tree as it is now, then what is left.
  std::vector<AccountReport> rows;
  std::map<std::string, std::int64_t> entitled;  // of factor_one
  std::map<std::string, std::string> parents;
  std::vector<std::vector<Duration>> waits;
  const auto take = [&](const std::string& name) -> AccountReport& {
    AccountReport& row = rows.emplace_back(std::move(all[name].row));
    row.account = name;
    waits.push_back(std::move(all[name].waits));
    all.erase(name);
    return row;
  };
  for (const AccountShare& share : FairShare(state, now).shares()) {
    if (!share.user.empty() || share.depth == 0) continue;
    AccountReport& row = take(share.account);
    row.depth = share.depth - 1;
    if (row.depth > 0) row.parent = parents[row.account] = share.parent;
    entitled[row.account] = row.depth > 0 ? scaled(share.norm_shares, entitled[row.parent], factor_one) : share.norm_shares;
    row.entitled_share_permille = scaled(entitled[row.account], 1000, factor_one);
  }
  while (!all.empty()) take(std::string(all.begin()->first));

  const Prices prices = prices_of(state.cluster);
  std::int64_t used_by_all = 0;
  for (const AccountReport& row : rows) used_by_all += row.used_gpu_ms;
  Report report;
  std::vector<Duration> waits_of_all;
  for (std::size_t at = 0; at < rows.size(); ++at) {
    AccountReport& row = rows[at];
    std::int64_t used_below = 0;
    for (const AccountReport& other : rows)
      if (is_under(parents, other.account, row.account)) used_below += other.used_gpu_ms;
    row.used_share_permille = scaled(used_below, 1000, used_by_all);
    row.cost_milli = cost_milli(row.used_gpu_ms, prices.per_gpu_hour_milli);
    row.cloud_milli = cost_milli(row.used_gpu_ms, prices.cloud_per_gpu_hour_milli);
    if (!account.empty() && !is_under(parents, row.account, account)) continue;
    add(report.total, row);
    waits_of_all.insert(waits_of_all.end(), waits[at].begin(), waits[at].end());
    finish(row, std::move(waits[at]));
    report.accounts.push_back(std::move(row));
  }
  report.total.depth = 0;
  report.total.used_share_permille = scaled(report.total.used_gpu_ms, 1000, used_by_all);
  finish(report.total, std::move(waits_of_all));
  return report;
}

}  // namespace ultramarine::core
