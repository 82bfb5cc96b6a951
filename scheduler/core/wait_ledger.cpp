// See wait_ledger.h.
#include "scheduler/core/wait_ledger.h"

#include <algorithm>
#include <tuple>
#include <utility>
#include <variant>

#include "scheduler/core/ensure.h"
#include "scheduler/core/lifecycle.h"
#include "scheduler/core/wide.h"

namespace ultramarine::core {
namespace {

constexpr std::int64_t waiting_jobs_per_ms = 10;
constexpr std::size_t parts_max = 64;  // in memory: then the shortest lose their names
constexpr std::size_t named_after_merge = 32;

bool same_cause(const WaitPart& a, const WaitPart& b) {
  return a.cause == b.cause && a.job == b.job && a.bill == b.bill && a.account == b.account && a.detail == b.detail;
}

void add(std::vector<WaitPart>& parts, const WaitPart& cause, Duration time) {
  if (time.ms == 0) return;
  const auto known = std::find_if(parts.begin(), parts.end(), [&](const WaitPart& part) { return same_cause(part, cause); });
  if (known != parts.end()) {
    known->time_ms = known->time_ms + time;
    return;
  }
  if (parts.size() >= parts_max) parts = merged(std::move(parts), named_after_merge);
  parts.push_back(cause);
  parts.back().time_ms = time;
}

bool is_hold(const Causes& causes) { return !causes.empty() && causes.front().part.cause == WaitCause::hold; }

}  // namespace

Duration wait_of(const Job& job, Time now) {
  Duration sum;
  std::optional<Time> since = job.submitted_ms;
  for (const Attempt& attempt : job.attempts) {
    sum = sum + (attempt.decided_ms - *since);
    since = attempt.ended_ms;
    if (!since) return sum;
  }
  return sum + (job.ended_ms.value_or(now) - *since);
}

Duration sum_of(const std::vector<WaitPart>& parts) {
  Duration sum;
  for (const WaitPart& part : parts) sum = sum + part.time_ms;
  return sum;
}

std::vector<WaitPart> merged(std::vector<WaitPart> parts, std::size_t named_max) {
  const auto by_time = [](const WaitPart& a, const WaitPart& b) {
    return std::tie(b.time_ms, a.cause, a.job, a.account, a.detail, a.bill) < std::tie(a.time_ms, b.cause, b.job, b.account, b.detail, b.bill);
  };
  std::sort(parts.begin(), parts.end(), by_time);
  std::vector<WaitPart> kept;
  std::size_t named = 0;
  for (WaitPart& part : parts) {
    if (part.job.value != 0 || !part.detail.empty()) {
      if (named == named_max) {
        part.job = {};
        part.detail.clear();
      } else {
        ++named;
      }
    }
    const auto known = std::find_if(kept.begin(), kept.end(), [&](const WaitPart& other) { return same_cause(other, part); });
    if (known == kept.end()) kept.push_back(std::move(part));
    else known->time_ms = known->time_ms + part.time_ms;
  }
  std::sort(kept.begin(), kept.end(), by_time);
  return kept;
}

WaitLedger::WaitLedger(const State& state, Time now) {
  for (const auto& [id, job] : state.jobs) {
    if (waits(job)) {
      Wait wait{.until = std::max(queued_since(job), job.waited_until_ms.value_or(Time{})), .causes = {}, .parts = job.waited, .owed = {}};
      wait.owed = {wait_of(job, wait.until).ms - sum_of(wait.parts).ms};
      if (job.state == JobState::held) wait.causes = causes_of_hold(job);
      open_.emplace(id, std::move(wait));
    } else if (is_active(job.state)) {
      active_.insert(id);
      const Time decided = job.attempts.back().decided_ms;
      const Duration missing{wait_of(job, decided).ms - sum_of(job.waited).ms};
      if (missing.ms == 0) continue;
      std::vector<WaitPart> parts = job.waited;
      add(parts, whole(WaitCause::scheduler).front().part, missing);
      finished_[id] = {id, merged(std::move(parts), recorded_jobs_max), decided};
    }
  }
  if (!open_.empty()) changed_at_ = now;
}

void WaitLedger::on_entry(Time now, const Entry& entry, const State& after) {
  const auto settle_one = [&](JobId id) {
    if (const auto job = after.jobs.find(id); job != after.jobs.end()) settle(job->second, now);
  };
  std::visit(
      [&]<class Kind>(const Kind& one) {
        if constexpr (std::is_same_v<Kind, JobSubmitted>) {
          for (JobId id = one.job; id.value < after.next_job; ++id.value) settle_one(id);
        } else if constexpr (std::is_same_v<Kind, Round>) {
          for (const Decision& decision : one.decisions) std::visit([&](const auto& chosen) { settle_one(chosen.job); }, decision);
        } else if constexpr (std::is_same_v<Kind, ClusterConfigured>) {  // which may hold jobs and let them go
          for (const auto& [id, wait] : std::map(open_)) settle_one(id);
        } else if constexpr (std::is_same_v<Kind, WaitsAccounted>) {
          for (const AccountedWait& wait : one.waits)
            if (const auto known = finished_.find(wait.job); known != finished_.end() && known->second.until_ms == wait.until_ms) finished_.erase(known);
        } else if constexpr (requires { one.job; }) {
          settle_one(one.job);
        }
      },
      entry);
  if (!std::holds_alternative<WaitsAccounted>(entry) && !std::holds_alternative<FavourBilled>(entry)) changed_at_ = now;
}

void WaitLedger::settle(const Job& job, Time now) {
  if (is_active(job.state)) active_.insert(job.job);
  else active_.erase(job.job);
  const auto found = open_.find(job.job);
  if (!waits(job)) {
    if (found == open_.end()) return;
    charge(found->second, now);
    if (!found->second.parts.empty()) finished_[job.job] = {job.job, merged(std::move(found->second.parts), recorded_jobs_max), now};
    open_.erase(found);
    return;
  }
  if (found == open_.end()) return open_wait(job, now);
  if (found->second.causes.empty()) return;  // the first look is still to come
  if ((job.state == JobState::held) == is_hold(found->second.causes)) return;
  charge(found->second, now);
  found->second.causes = job.state == JobState::held ? causes_of_hold(job) : whole(WaitCause::scheduler);
}

void WaitLedger::open_wait(const Job& job, Time now) {
  Wait& wait = open_[job.job];
  wait.until = now;
  wait.causes = job.state == JobState::held ? causes_of_hold(job) : whole(WaitCause::scheduler);
  const auto before = finished_.extract(job.job);
  wait.parts = before.empty() ? job.waited : before.mapped().parts;
}

void WaitLedger::charge(Wait& wait, Time now) {
  if (wait.causes.empty()) wait.causes = whole(WaitCause::scheduler);
  const std::int64_t time = (now - wait.until).ms + std::exchange(wait.owed, {}).ms;
  ensure(time >= 0, "waits are charged in the order of time");
  wait.until = now;
  std::int64_t weights = 0, charged = 0;
  for (const CauseShare& share : wait.causes) weights += share.weight;
  for (std::size_t i = wait.causes.size(); i-- > 0;) {  // the first gets what is left
    const std::int64_t part = i == 0 ? time - charged : static_cast<std::int64_t>(Wide{time} * wait.causes[i].weight / weights);
    add(wait.parts, wait.causes[i].part, {part});
    charged += part;
  }
}

std::optional<Time> WaitLedger::looks_at() const {
  if (!changed_at_) return std::nullopt;
  return *changed_at_ == looked_at_ ? looked_at_ : std::max(*changed_at_, next_look_);
}

void WaitLedger::on_plan(const State& state, const Plan& plan) {
  ActiveJobs active;
  for (const JobId id : active_) active.emplace(id, &state.jobs.at(id));
  WaitCauses causes(state, plan, std::move(active));
  for (const PlannedJob& line : plan.jobs) {
    const auto found = open_.find(line.job);
    if (found == open_.end()) continue;
    Wait& wait = found->second;
    Causes now = causes.of(line);
    if (now == wait.causes) continue;
    if (!wait.causes.empty()) charge(wait, plan.now_ms);
    wait.causes = std::move(now);
  }
  changed_at_.reset();
  looked_at_ = plan.now_ms;
  next_look_ = plan.now_ms + milliseconds(static_cast<std::int64_t>(open_.size()) / waiting_jobs_per_ms);
}

std::vector<WaitPart> WaitLedger::parts_of(JobId job, Time now) const {
  const auto found = open_.find(job);
  if (found == open_.end()) return {};
  Wait wait = found->second;
  charge(wait, std::max(now, wait.until));
  return merged(std::move(wait.parts), parts_max);
}

std::vector<AccountedWait> WaitLedger::open(Time now) const {
  std::vector<AccountedWait> waits;
  for (const auto& [id, found] : open_) {
    Wait wait = found;
    const Time until = std::max(now, wait.until);
    charge(wait, until);
    waits.push_back({id, merged(std::move(wait.parts), recorded_jobs_max), until});
  }
  return waits;
}

}  // namespace ultramarine::core
