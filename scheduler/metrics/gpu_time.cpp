// See gpu_time.h.
#include "scheduler/metrics/gpu_time.h"

#include <algorithm>
#include <set>

#include "scheduler/core/gangs.h"
#include "scheduler/core/limits.h"
#include "scheduler/metrics/gpus_by_use.h"

namespace ultramarine::metrics {

namespace {

const Attempt* attempt_of(const State& state, JobId id, std::int64_t number) {
  const auto job = state.jobs.find(id);
  if (job == state.jobs.end() || number < 1 || static_cast<std::size_t>(number) > job->second.attempts.size()) return nullptr;
  return &job->second.attempts[static_cast<std::size_t>(number) - 1];
}

/// Partitions for whose GPUs somebody waits, and for nothing else.
std::set<std::string> wanted_partitions(const State& state, const Plan& plan) {
  std::set<std::string> wanted;
  for (const PlannedJob& planned : plan.jobs) {
    switch (planned.reason.code) {
      case ReasonCode::resources:
      case ReasonCode::fragmentation:
      case ReasonCode::priority:
      case ReasonCode::nodes_missing:
        if (const auto job = state.jobs.find(planned.job); job != state.jobs.end()) wanted.insert(job->second.spec.partition);
        break;
      default: break;
    }
  }
  return wanted;
}

UnusedBy unused_by(const GpusOfNode& node, const std::set<std::string>& wanted) {
  switch (node.rest) {
    case GpuUse::reserved: return UnusedBy::reserved;
    case GpuUse::draining: return UnusedBy::draining;
    case GpuUse::down: return UnusedBy::down;
    default: break;
  }
  const bool is_wanted = std::any_of(node.partitions.begin(), node.partitions.end(), [&](const std::string& one) { return wanted.count(one) != 0; });
  return is_wanted ? UnusedBy::fragmentation : UnusedBy::no_demand;
}

}  // namespace

const char* source_word(DeviceSource source) { return source == DeviceSource::nvml ? "nvml" : "virtual"; }

LostTo lost_to(const Attempt& attempt) {
  switch (attempt.outcome.value_or(Outcome::failed)) {
    case Outcome::preempted: return LostTo::preempted;
    case Outcome::cancelled: return LostTo::cancelled;
    case Outcome::node_lost:
    case Outcome::device_lost:
    case Outcome::supervisor_lost: return LostTo::node_failure;
    default: return attempt.failure && attempt.failure->node_at_fault ? LostTo::node_failure : LostTo::job_failure;
  }
}

Duration saved_so_far(const Job& job) {
  if (job.attempts.empty() || !job.checkpoint) return Duration{0};
  const Attempt& attempt = job.attempts.back();
  if (!attempt.started_ms || attempt.ended_ms) return Duration{0};
  return std::max(job.checkpoint->at_ms - *attempt.started_ms, Duration{0});
}

void GpuTime::begin(Time now, const State& state) {
  for (const auto& [id, job] : state.jobs) {
    if (!is_active(job.state) || job.attempts.empty()) continue;
    hold(job, job.attempts.back().allocation, now);
    if (job.checkpoint) stays_[id] = {.credited_until = job.checkpoint->at_ms, .checkpoint = job.checkpoint->at_ms, .interval = {}};
  }
}

void GpuTime::on_entry(Time now, const Entry& entry, const State& after) {
  std::visit([&](const auto& one) { on(now, one, after); }, entry);
}

void GpuTime::hold(const Job& job, const Allocation& allocation, Time since) {
  for (const NodeAllocation& part : allocation)
    for (const std::int64_t device : part.devices) holders_[{part.node, device}] = {job.job, {job.spec.account, job.spec.partition}, since};
}

void GpuTime::on(Time now, const Round& round, const State& after) {
  for (const Decision& decision : round.decisions) {
    const auto* const start = std::get_if<StartJob>(&decision);
    if (!start) continue;
    if (const auto job = after.jobs.find(start->job); job != after.jobs.end()) hold(job->second, start->allocation, now);
  }
}

void GpuTime::on(Time now, const CheckpointSaved& event, const State& after) {
  const Attempt* const attempt = attempt_of(after, event.job, event.attempt);
  if (!attempt || !attempt->started_ms) return;
  const Job& job = after.jobs.at(event.job);
  Stay& stay = stays_[event.job];
  if (stay.checkpoint) stay.interval = now - *stay.checkpoint;
  stay.checkpoint = now;
  const Time from = std::max(stay.credited_until, *attempt->started_ms);
  if (now > from) productive_[{job.spec.account, job.spec.partition}] += core::gpus_of(attempt->allocation) * (now - from).ms;
  stay.credited_until = std::max(now, from);
}

/// From the decision to the end every millisecond is charged once.
void GpuTime::on(Time now, const AttemptEnded& event, const State& after) {
  std::erase_if(holders_, [&](const auto& one) { return one.second.job == event.job; });
  const Attempt* const attempt = attempt_of(after, event.job, event.attempt);
  const auto stay = stays_.extract(event.job);
  if (!attempt || attempt->allocation.empty()) return;
  const Job& job = after.jobs.at(event.job);
  const std::int64_t gpus = core::gpus_of(attempt->allocation);
  const auto lose = [&](LostTo cause, Duration time) {
    if (time.ms > 0) lost_[{job.spec.account, cause}] += gpus * time.ms;
  };
  const bool is_well = event.outcome == Outcome::succeeded;
  if (!attempt->started_ms) return lose(is_well || event.outcome == Outcome::cancelled || event.outcome == Outcome::preempted ? LostTo::startup : lost_to(*attempt), now - attempt->decided_ms);
  const Gang* const gang = core::find_gang(*attempt, 1);
  const Time finished = std::max(gang && gang->finished_ms ? *gang->finished_ms : now, *attempt->started_ms);
  lose(LostTo::startup, *attempt->started_ms - attempt->decided_ms);
  const Time saved = std::min(std::max(stay.empty() ? Time{} : stay.mapped().credited_until, *attempt->started_ms), finished);
  if (is_well) productive_[{job.spec.account, job.spec.partition}] += gpus * (finished - saved).ms;
  else lose(lost_to(*attempt), finished - saved);
  lose(LostTo::teardown, now - finished);
}

void GpuTime::on_devices(Time now, const std::string& node, DeviceSource source, const std::vector<DeviceReport>& devices) {
  for (const DeviceReport& device : devices) {
    const Place place{node, device.device};
    const auto holder = holders_.find(place);
    if (holder == holders_.end() || !device.utilization_permille) {
      samples_.erase(place);
      continue;
    }
    const auto [known, is_new] = samples_.try_emplace(place, Sample{.at = now, .job = holder->second.job, .quiet_since = {}});
    Sample& sample = known->second;
    if (is_new || sample.job != holder->second.job || now - sample.at > sample_gap_max) {
      // What it did before it was held, or while nobody heard of it, is nobody's.
      sample = {.at = now, .job = holder->second.job, .quiet_since = {}};
      continue;
    }
    const Duration time = now - sample.at;
    active_[{holder->second.where, source}] += std::clamp<std::int64_t>(*device.utilization_permille, 0, 1000) * time.ms;
    if (*device.utilization_permille >= idle_below_permille) {
      sample.quiet_since.reset();
      sample.is_idle = false;
    } else {
      if (!sample.quiet_since) sample.quiet_since = sample.at;
      const Duration quiet = now - *sample.quiet_since;
      if (sample.is_idle) idle_[{holder->second.where.first, source}] += time.ms;
      else if (quiet >= idle_after) idle_[{holder->second.where.first, source}] += quiet.ms;
      sample.is_idle = quiet >= idle_after;
    }
    sample.at = now;
  }
}

void GpuTime::on_plan(const State& state, const Plan& plan) {
  settle(plan.now_ms);
  const std::set<std::string> wanted = wanted_partitions(state, plan);
  unused_now_ = {};
  for (const GpusOfNode& node : gpus_by_use(state, plan.now_ms)) unused_now_[static_cast<std::size_t>(unused_by(node, wanted))] += node.gpus - node.held;
}

void GpuTime::settle(Time now) {
  if (!settled_) settled_ = now;
  if (now <= *settled_) return;
  for (std::size_t cause = 0; cause < unused_causes; ++cause) unused_[cause] += unused_now_[cause] * (now - *settled_).ms;
  settled_ = now;
}

std::optional<Duration> GpuTime::checkpoint_interval(JobId job) const {
  const auto stay = stays_.find(job);
  return stay == stays_.end() ? std::nullopt : stay->second.interval;
}

}  // namespace ultramarine::metrics
