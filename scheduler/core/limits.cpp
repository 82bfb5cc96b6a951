// See limits.h.
#include "scheduler/core/limits.h"

#include <algorithm>
#include <array>
#include <limits>

#include "scheduler/core/ensure.h"
#include "scheduler/core/fair_share.h"

namespace ultramarine::core {
namespace {

constexpr std::size_t ends_named_max = 5;
constexpr std::int64_t ms_per_hour = 3'600'000;
constexpr std::int64_t hours_max = 1'000'000'000'000;  // more is no limit, and its milliseconds would not fit
constexpr Duration unknown_month{31 * 86'400'000LL};

const AccountConfig* find_account(const ClusterConfig& cluster, const std::string& name) {
  for (const AccountConfig& account : cluster.accounts)
    if (account.name == name) return &account;
  return nullptr;
}

std::int64_t in_gpu_ms(std::int64_t hours) { return std::min(hours, hours_max) * ms_per_hour; }

std::string period_key(LimitScope scope, const std::string& of, const std::string& user) {
  return std::string(boost::describe::enum_to_string(scope, "")) + " " + of + " " + user;
}

}  // namespace

std::vector<const AccountConfig*> account_and_above(const ClusterConfig& cluster, const std::string& name) {
  std::vector<const AccountConfig*> chain;
  for (const AccountConfig* account = find_account(cluster, name); account && chain.size() < cluster.accounts.size(); account = find_account(cluster, account->parent))
    chain.push_back(account);
  return chain;
}

std::int64_t held_in_period(const Period& period, LimitScope scope, const std::string& of, const std::string& user) {
  const std::string first = period_key(scope, of, user);
  if (!user.empty()) {
    const auto held = period.held_gpu_ms.find(first);
    return held == period.held_gpu_ms.end() ? 0 : held->second;
  }
  std::int64_t sum = 0;
  for (auto held = period.held_gpu_ms.lower_bound(first); held != period.held_gpu_ms.end() && held->first.compare(0, first.size(), first) == 0; ++held)
    sum += held->second;
  return sum;
}

namespace {

/// An account's is that of all accounts under it, too.
std::int64_t held_by(const State& state, const Subject& subject) {
  if (subject.of_scope != LimitScope::account) return held_in_period(state.period, subject.of_scope, subject.of, subject.user);
  std::int64_t sum = 0;
  for (const AccountConfig& account : state.cluster.accounts) {
    const auto chain = account_and_above(state.cluster, account.name);
    if (std::any_of(chain.begin(), chain.end(), [&](const AccountConfig* above) { return above->name == subject.of; }))
      sum += held_in_period(state.period, LimitScope::account, account.name, subject.user);
  }
  return sum;
}

LimitReached reached(const Subject& subject, LimitKind kind, std::int64_t used, std::int64_t limit) {
  return {subject.scope, subject.name, kind, used, limit};
}

}  // namespace

// ---- who has limits

std::string subject_in_words(const LimitReached& limit) {
  constexpr std::array scopes{"account ", "user ", "QOS ", "partition "};
  return scopes[static_cast<std::size_t>(limit.scope)] + limit.name;
}

LimitTable::LimitTable(const State& state) : state_(state) {
  const auto look_at = [&](const Limits& limits) {
    empty_ = empty_ && limits == Limits{};
    has_shares_ = has_shares_ || limits.gpus_soft || limits.gpus_floor;
    counts_months_ = counts_months_ || (limits.gpu_hours_per_month && state.period.end_ms.ms > 0);
  };
  const auto look_at_both = [&](const auto& section) { look_at(section.limits), look_at(section.user_limits); };
  for (const AccountConfig& account : state.cluster.accounts) look_at_both(account);
  for (const QosConfig& qos : state.cluster.qos) look_at_both(qos);
  for (const PartitionConfig& partition : state.cluster.partitions) look_at_both(partition);
  empty_ = empty_ && state.policy.caps.empty();
}

void LimitTable::add(std::vector<std::size_t>& numbers, LimitScope scope, const std::string& of, const std::string& user, const Limits& limits) {
  if (limits == Limits{}) return;
  const auto [number, is_new] = numbers_.try_emplace({scope, of, user}, subjects_.size());
  if (is_new) {
    std::string name = of;
    if (!user.empty()) name = user + (scope == LimitScope::account ? " of " : scope == LimitScope::qos ? " in QOS " : " in partition ") + of;
    subjects_.push_back({user.empty() ? scope : LimitScope::user, std::move(name), limits, of, scope, user});
  }
  numbers.push_back(number->second);
}

const std::vector<std::size_t>& LimitTable::of(const JobSpec& spec, const std::string& user) {
  const auto known = known_.find(std::tie(spec.account, user, spec.qos, spec.partition));
  if (known != known_.end()) return known->second;
  std::vector<std::size_t> numbers;
  for (const AccountConfig* account : account_and_above(state_.cluster, spec.account)) {
    Limits limits = account->limits;
    if (const auto cap = state_.policy.caps.find(account->name); cap != state_.policy.caps.end()) limits.gpus = std::min(limits.gpus.value_or(cap->second), cap->second);
    add(numbers, LimitScope::account, account->name, "", limits);
    add(numbers, LimitScope::account, account->name, user, account->user_limits);
  }
  for (const QosConfig& qos : state_.cluster.qos) {
    if (qos.name != spec.qos) continue;
    add(numbers, LimitScope::qos, qos.name, "", qos.limits);
    add(numbers, LimitScope::qos, qos.name, user, qos.user_limits);
    break;
  }
  for (const PartitionConfig& partition : state_.cluster.partitions) {
    if (partition.name != spec.partition) continue;
    add(numbers, LimitScope::partition, partition.name, "", partition.limits);
    add(numbers, LimitScope::partition, partition.name, user, partition.user_limits);
    break;
  }
  return known_.emplace(std::tuple{spec.account, user, spec.qos, spec.partition}, std::move(numbers)).first->second;
}

std::optional<LimitReached> LimitTable::exceeded(const JobSpec& spec, const std::string& user, std::int64_t gpus, Duration stay) {
  if (empty_) return std::nullopt;
  for (const std::size_t number : of(spec, user)) {
    const Subject& subject = subjects_[number];
    const Limits& limits = subject.limits;
    if (limits.gpus_per_job && gpus > *limits.gpus_per_job) return reached(subject, LimitKind::gpus_per_job, gpus, *limits.gpus_per_job);
    if (limits.max_time_ms && spec.time_limit_ms > *limits.max_time_ms) return reached(subject, LimitKind::max_time_ms, spec.time_limit_ms.ms, limits.max_time_ms->ms);
    if (limits.gpus && gpus > *limits.gpus) return reached(subject, LimitKind::gpus, gpus, *limits.gpus);
    if (limits.jobs && *limits.jobs < 1) return reached(subject, LimitKind::jobs, 1, *limits.jobs);
    if (limits.gpu_hours_per_month && counts_months_ && gpus * stay.ms > in_gpu_ms(*limits.gpu_hours_per_month))
      return reached(subject, LimitKind::gpu_hours, (gpus * stay.ms + ms_per_hour - 1) / ms_per_hour, *limits.gpu_hours_per_month);
  }
  return std::nullopt;
}

// ---- over time

void StepFunction::add(Time start, Time end, std::int64_t amount) {
  if (start >= end) return;
  const auto step_at = [&](Time time) {  // the step that begins at `time`, made if there is none
    const auto next = std::lower_bound(steps_.begin(), steps_.end(), time, [](const Step& step, Time t) { return step.from < t; });
    const auto place = static_cast<std::size_t>(next - steps_.begin());
    if (next == steps_.end() || next->from != time) steps_.insert(next, {time, std::prev(next)->taken});
    return place;
  };
  const std::size_t first = step_at(start), last = step_at(end);
  for (std::size_t i = first; i < last; ++i) steps_[i].taken += amount;
  for (const std::size_t edge : {last, first})
    if (steps_[edge].taken == steps_[edge - 1].taken) steps_.erase(steps_.begin() + static_cast<std::ptrdiff_t>(edge));
}

Time StepFunction::earliest(std::int64_t amount, std::int64_t most, Time from, Duration length) const {
  auto step = std::prev(std::upper_bound(steps_.begin(), steps_.end(), from, [](Time time, const Step& s) { return time < s.from; }));
  for (Time start = from;; ++step) {
    if (step != steps_.begin() && step->from >= start + length) return start;
    const bool is_last = std::next(step) == steps_.end();
    if (step->taken + amount <= most) {
      if (is_last) return start;
      continue;
    }
    ensure(!is_last, "what is taken is given back at some time");
    start = std::next(step)->from;
  }
}

std::int64_t StepFunction::before(Time time) const {
  const auto next = std::lower_bound(steps_.begin(), steps_.end(), time, [](const Step& step, Time t) { return step.from < t; });
  return std::prev(next)->taken;
}

LimitCalendar::Account& LimitCalendar::account(std::size_t number) {
  while (accounts_.size() <= number) {
    Account& account = accounts_.emplace_back();
    const Subject& subject = table_.subject(accounts_.size() - 1);
    if (subject.limits.gpu_hours_per_month && counts_months()) account.gpu_ms[0] = held_by(state_, subject);
  }
  return accounts_[number];
}

std::int64_t LimitCalendar::month_of(Time time) const {
  const Time end = state_.period.end_ms;
  return time < end ? 0 : 1 + (time - end).ms / unknown_month.ms;
}

Time LimitCalendar::month_start(std::int64_t month) const {
  return month == 0 ? state_.period.start_ms : state_.period.end_ms + Duration{(month - 1) * unknown_month.ms};
}

Time LimitCalendar::earliest_month(const Account& account, std::int64_t most_gpu_ms, std::int64_t gpus, Time from, Duration stay) const {
  Time start = from;
  const auto first_without_room = [&]() -> std::optional<std::int64_t> {
    for (std::int64_t month = month_of(start); month_start(month) < start + stay; ++month) {
      const auto taken = account.gpu_ms.find(month);
      const Duration inside = start + stay - std::max(start, month_start(month));
      if ((taken == account.gpu_ms.end() ? 0 : taken->second) + gpus * inside.ms > most_gpu_ms) return month;
    }
    return std::nullopt;
  };
  while (const auto month = first_without_room()) start = month_start(*month + 1);
  return start;
}

Time LimitCalendar::earliest_step(const StepFunction& steps, KnownBounds& bounds, std::int64_t amount, std::int64_t most, Time from, Duration stay) const {
  const Shape key{.remainder = amount};
  const Time bound = bounds.not_before(key, stay, from);
  const Time start = steps.earliest(amount, most, bound, stay);
  if (from == now_ || bound > from) bounds.learn(key, stay, start);  // then nothing from now on was passed over
  return start;
}

std::optional<LimitReached> LimitCalendar::exceeded(const Job& job, std::int64_t gpus, Duration stay) {
  return table_.exceeded(job.spec, user_name(job.owner), gpus, stay);
}

LimitCalendar::Room LimitCalendar::earliest(const Job& job, std::int64_t gpus, Time from, Duration stay) {
  Room room{from, std::nullopt, {}};
  if (table_.empty()) return room;
  const std::vector<std::size_t>& numbers = table_.of(job.spec, user_name(job.owner));
  std::size_t last = 0;
  LimitKind kind = LimitKind::gpus;
  const auto wait = [&](std::size_t number, LimitKind by, Time until) {
    if (until <= room.at) return;
    room.at = until;
    last = number, kind = by;
  };
  Time before = from;
  do {
    before = room.at;
    for (const std::size_t number : numbers) {
      const Limits& limits = table_.subject(number).limits;
      Account& taken = account(number);
      if (limits.gpus) wait(number, LimitKind::gpus, earliest_step(taken.gpus, taken.gpus_bounds, gpus, *limits.gpus, room.at, stay));
      if (limits.jobs) wait(number, LimitKind::jobs, earliest_step(taken.jobs, taken.jobs_bounds, 1, *limits.jobs, room.at, stay));
      if (limits.gpu_hours_per_month && counts_months())
        wait(number, LimitKind::gpu_hours, earliest_month(taken, in_gpu_ms(*limits.gpu_hours_per_month), gpus, room.at, stay));
    }
  } while (room.at > before);
  if (room.at == from) return room;

  const Subject& subject = table_.subject(last);
  Account& taken = account(last);
  if (kind == LimitKind::gpu_hours) {
    room.limit = reached(subject, kind, (taken.gpu_ms[month_of(room.at) - 1] + ms_per_hour - 1) / ms_per_hour, *subject.limits.gpu_hours_per_month);
    return room;
  }
  room.limit = kind == LimitKind::gpus ? reached(subject, kind, taken.gpus.before(room.at), *subject.limits.gpus)
                                       : reached(subject, kind, taken.jobs.before(room.at), *subject.limits.jobs);
  for (auto end = taken.ends.lower_bound({room.at, JobId{}}); end != taken.ends.end() && end->first == room.at && room.ends.size() < ends_named_max; ++end)
    room.ends.push_back(end->second);
  return room;
}

void LimitCalendar::take(const Job& job, std::int64_t gpus, Time start, Time end) {
  if (table_.empty()) return;
  for (const std::size_t number : table_.of(job.spec, user_name(job.owner))) {
    const Limits& limits = table_.subject(number).limits;
    Account& taken = account(number);
    if (limits.gpus) taken.gpus.add(std::max(start, now_), end, gpus);
    if (limits.jobs) taken.jobs.add(std::max(start, now_), end, 1);
    if (limits.gpus || limits.jobs) taken.ends.emplace(end, job.job);
    if (!limits.gpu_hours_per_month || !counts_months()) continue;
    for (std::int64_t month = month_of(std::max(start, state_.period.start_ms)); month_start(month) < end; ++month)
      taken.gpu_ms[month] += gpus * (end - std::max(start, month_start(month))).ms;
  }
}

// ---- shares

std::vector<Share> shares_of(const State& state, const std::vector<const Job*>& in_order) {
  std::vector<Share> shares;
  LimitTable table(state);
  if (!table.has_shares()) return shares;
  std::vector<std::int64_t> taken;  // by the jobs ahead, of each subject
  for (const Job* job : in_order) {
    const bool holds_its_own = is_active(job->state) && !job->attempts.back().trial_ms;
    const std::int64_t gpus = holds_its_own ? gpus_of(job->attempts.back().allocation) : total_gpus(job->spec.resources);
    Share& share = shares.emplace_back();
    for (const std::size_t number : table.of(job->spec, user_name(job->owner))) {
      if (number >= taken.size()) taken.resize(number + 1);
      const Subject& subject = table.subject(number);
      const Limits& limits = subject.limits;
      if (limits.gpus_floor && taken[number] + gpus <= *limits.gpus_floor) share.share = ShareClass::floor;
      if (limits.gpus_soft && taken[number] + gpus > *limits.gpus_soft && !share.soft_cap)
        share.soft_cap = reached(subject, LimitKind::gpus, taken[number], *limits.gpus_soft);
      taken[number] += gpus;
    }
    if (share.share == ShareClass::floor) share.soft_cap.reset();
    else if (share.soft_cap) share.share = ShareClass::borrower;
  }
  return shares;
}

std::int64_t gpus_at_most(const JobSpec& spec, const Shape& shape, std::int64_t largest_node) {
  return spec.exclusive ? (shape.parts + (shape.remainder > 0 ? 1 : 0)) * largest_node : total_gpus(spec.resources);
}

std::int64_t gpus_of(const Allocation& allocation) {
  std::int64_t gpus = 0;
  for (const NodeAllocation& on_node : allocation) gpus += static_cast<std::int64_t>(on_node.devices.size());
  return gpus;
}

// ---- what was held in the current month

void charge_period(Period& period, const Job& job, const Attempt& attempt) {
  if (!attempt.ended_ms) return;
  const Time start = std::max(attempt.decided_ms, period.start_ms), end = std::min(*attempt.ended_ms, period.end_ms);
  if (end <= start) return;
  const std::int64_t gpu_ms = gpus_of(attempt.allocation) * (end - start).ms;
  if (gpu_ms == 0) return;
  for (const auto& [scope, of] : {std::pair{LimitScope::account, &job.spec.account}, std::pair{LimitScope::qos, &job.spec.qos},
                                  std::pair{LimitScope::partition, &job.spec.partition}})
    period.held_gpu_ms[period_key(scope, *of, user_name(job.owner))] += gpu_ms;
}

void start_period(State& state, Time start, Time end) {
  state.period = {start, end, {}};
  for (const auto& [id, job] : state.jobs)
    for (const Attempt& attempt : job.attempts) charge_period(state.period, job, attempt);
}

}  // namespace ultramarine::core
