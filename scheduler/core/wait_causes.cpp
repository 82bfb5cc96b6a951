// See wait_causes.h.
#include "scheduler/core/wait_causes.h"

#include <algorithm>

#include "scheduler/core/limits.h"
#include "scheduler/core/order.h"
#include "scheduler/core/planner.h"
#include "scheduler/core/shape.h"

namespace ultramarine::core {
namespace {

constexpr std::size_t nodes_named_max = 3;

Causes detailed(WaitCause cause, std::string detail) {
  Causes causes = whole(cause);
  causes.front().part.detail = std::move(detail);
  return causes;
}

std::string text_of(NodeState state) { return boost::describe::enum_to_string(state, ""); }

std::string text_of(const Node& node) {
  if (!node.drain) return node.config.name + " " + text_of(node.state);
  return node.config.name + " drained by " + node.drain->actor.name + ": " + node.drain->reason;
}

}  // namespace

Time queued_since(const Job& job) {
  for (auto attempt = job.attempts.rbegin(); attempt != job.attempts.rend(); ++attempt)
    if (attempt->ended_ms) return *attempt->ended_ms;
  return job.submitted_ms;
}

Causes whole(WaitCause cause) { return {{.part = {.cause = cause}}}; }

Causes causes_of_hold(const Job& job) {
  const Hold hold = job.hold.value_or(Hold{});
  const std::string who = hold.actor.name.empty() && hold.actor.uid < 0 ? "" : user_name(hold.actor);
  return detailed(WaitCause::hold, who + (who.empty() || hold.reason.empty() ? "" : ": ") + hold.reason);
}

WaitCauses::WaitCauses(const State& state, const Plan& plan, ActiveJobs active) : state_(state), plan_(plan), active_(std::move(active)) {
  for (const auto& [id, job] : active_) {
    const Attempt& attempt = job->attempts.back();
    enter(attempt.allocation, {attempt.decided_ms, assumed_end(*job, state.policy, plan.now_ms), job, 0});
  }
  for (const PlannedJob& line : plan.jobs) {
    const Job& job = state.jobs.at(line.job);
    if (line.start_ms) enter(line.allocation, {*line.start_ms, *line.start_ms + longest_stay(job.spec, state.policy), &job, line.position});
    const ReasonCode code = line.reason.code;
    const bool waits_its_turn = code == ReasonCode::resources || code == ReasonCode::fragmentation || code == ReasonCode::priority;
    if (!first_in_turn_ && !line.start_ms && waits_its_turn) first_in_turn_ = line.job;
  }
  for (auto& [name, devices] : nodes_)
    for (Device& device : devices) std::stable_sort(device.begin(), device.end(), [](const Use& a, const Use& b) { return a.start < b.start; });
}

void WaitCauses::enter(const Allocation& allocation, const Use& use) {
  for (const NodeAllocation& on_node : allocation) {
    std::vector<Device>& devices = nodes_[on_node.node];
    for (const std::int64_t device : on_node.devices) {
      if (devices.size() <= static_cast<std::size_t>(device)) devices.resize(static_cast<std::size_t>(device) + 1);
      devices[static_cast<std::size_t>(device)].push_back(use);
    }
  }
}

Causes WaitCauses::of(const PlannedJob& line) {
  const Job& job = state_.jobs.at(line.job);
  switch (line.reason.code) {
    case ReasonCode::starting_now: return whole(WaitCause::scheduler);
    case ReasonCode::never_fits: return whole(WaitCause::impossible);
    case ReasonCode::held: return causes_of_hold(job);
    case ReasonCode::array_limit: return whole(WaitCause::array_limit);
    case ReasonCode::begin_time: return whole(WaitCause::begin_time);
    case ReasonCode::restart_delay: return whole(WaitCause::restart_delay);
    case ReasonCode::deadline: return whole(WaitCause::deadline);
    case ReasonCode::reservation: return detailed(WaitCause::reservation, line.reason.reservation);
    case ReasonCode::limit: return detailed(WaitCause::limit, line.reason.limit ? subject_in_words(*line.reason.limit) : "");
    case ReasonCode::soft_cap: return detailed(WaitCause::soft_cap, line.reason.limit ? subject_in_words(*line.reason.limit) : "");
    case ReasonCode::nodes_missing: return away(job);
    case ReasonCode::fragmentation: return whole(WaitCause::shape);
    case ReasonCode::dependency:
    case ReasonCode::dependency_never: {
      Causes causes;
      for (const JobId id : line.reason.waits_for) {
        const auto other = state_.jobs.find(id);
        causes.push_back({.part = {.cause = WaitCause::dependency, .job = id, .account = other == state_.jobs.end() ? "" : other->second.spec.account}});
      }
      return causes.empty() ? whole(WaitCause::dependency) : causes;
    }
    case ReasonCode::priority: {
      const Counts counts = kept_for_others(job, line);
      if (!counts.empty()) return by_counts(counts, job);
      break;
    }
    case ReasonCode::resources: break;
  }
  Counts counts = in_the_way(job, line);
  if (counts.empty())  // something beside devices decides: CPUs, memory, whole nodes
    for (const JobId id : line.reason.waits_for)
      if (state_.jobs.count(id) != 0) counts[id] = 1;
  if (counts.empty()) counts = neighbourhood_of(job.spec).held;
  return counts.empty() ? whole(WaitCause::shape) : by_counts(counts, job);
}

/// The jobs ahead that it would delay.
WaitCauses::Counts WaitCauses::kept_for_others(const Job& job, const PlannedJob& line) {
  Counts counts;
  if (!line.start_ms) {
    if (first_in_turn_ && *first_in_turn_ != job.job) counts[*first_in_turn_] = 1;
    return counts;
  }
  const Time end = plan_.now_ms + longest_stay(job.spec, state_.policy);
  for (const Use* use : neighbourhood_of(job.spec).kept) {
    if (use->start >= end) break;
    if (use->position < line.position) ++counts[use->job->job];
  }
  return counts;
}

/// Of the devices that it is to get those that come free last.
WaitCauses::Counts WaitCauses::in_the_way(const Job& job, const PlannedJob& line) {
  Counts counts, passers;
  if (!line.start_ms) return counts;
  for (const NodeAllocation& on_node : line.allocation) {
    const std::vector<Device>& devices = nodes_.at(on_node.node);
    for (const std::int64_t index : on_node.devices) {
      const Device& device = devices.at(static_cast<std::size_t>(index));
      Time end;
      for (const Use& use : device)
        if (use.start < *line.start_ms) end = std::max(end, use.end);
      if (end < *line.start_ms) continue;  // it is free before
      if (const Use* use = blocker(device, job, line.position, *line.start_ms)) ++counts[use->job->job];
      else ++passers[device.front().job->job];
    }
  }
  return counts.empty() ? passers : counts;
}

/// Who keeps the device from it now; nullptr: only jobs behind it, which were let pass.
const WaitCauses::Use* WaitCauses::blocker(const Device& device, const Job& job, std::int64_t position, Time start) {
  for (const Use& use : device) {
    if (use.start >= start) break;
    const Attempt* const runs = use.position == 0 ? &use.job->attempts.back() : nullptr;
    const bool overtook = runs && runs->backfilled && use.start > queued_since(job) && is_behind(*use.job, job);
    const bool was_let_pass = runs ? overtook || runs->trial_ms : use.position > position;
    if (!was_let_pass) return &use;
  }
  return nullptr;
}

Causes WaitCauses::by_counts(const Counts& counts, const Job& job) {
  Causes causes;
  for (const auto& [id, devices] : counts) causes.push_back({part_for(state_.jobs.at(id), job), devices});
  return causes;
}

WaitPart WaitCauses::part_for(const Job& other, const Job& job) {
  WaitPart part{.cause = WaitCause::job_ahead, .job = other.job, .account = other.spec.account};
  if (is_active(other.state) && other.attempts.back().decided_ms <= queued_since(job)) part.cause = WaitCause::running_job;
  if (part.cause == WaitCause::running_job) return part;
  if (const auto bill = boost_of(other); bill && is_behind(other, job)) {
    part.cause = WaitCause::boost;
    part.bill = *bill;
  } else if (is_active(other.state) && other.attempts.back().backfilled && is_behind(other, job)) {
    part.cause = WaitCause::running_job;  // it isn't ahead, it was let pass
  }
  return part;
}

/// The boost that a waiting job has, or that a running one started with.
std::optional<std::int64_t> WaitCauses::boost_of(const Job& other) const {
  if (!is_active(other.state)) return is_boosted(other, plan_.now_ms) ? std::optional(other.boost->bill) : std::nullopt;
  const Time began = queued_since(other), decided = other.attempts.back().decided_ms;
  for (auto bill = state_.bills.rbegin(); bill != state_.bills.rend(); ++bill)
    if (bill->favour == Favour::boost && bill->job == other.job && bill->at_ms >= began && bill->at_ms <= decided) return bill->bill;
  return std::nullopt;
}

/// By the policy's order, without boosts.
bool WaitCauses::is_behind(const Job& other, const Job& job) {
  if (!policies_) policies_ = policy::make_policies(state_, plan_.now_ms, active_);
  return std::pair(policies_->order->key(job), job.job) < std::pair(policies_->order->key(other), other.job);
}

const WaitCauses::Neighbourhood& WaitCauses::neighbourhood_of(const JobSpec& spec) {
  if (const auto known = neighbourhoods_.find(spec); known != neighbourhoods_.end()) return known->second;
  Neighbourhood& made = neighbourhoods_[RequestClass(spec)];
  const PartitionConfig* partition = find_partition(state_.cluster, spec.partition);
  if (!partition) return made;
  for (const EligibleNode& eligible : eligible_nodes(state_.cluster, *partition, spec)) {
    made.nodes.push_back(eligible.node->name);
    const auto node = nodes_.find(eligible.node->name);
    if (node == nodes_.end()) continue;
    for (const Device& device : node->second) {
      if (device.empty()) continue;
      if (device.front().position == 0) ++made.held[device.front().job->job];
      else made.kept.push_back(&device.front());
    }
  }
  std::stable_sort(made.kept.begin(), made.kept.end(), [](const Use* a, const Use* b) { return a->start < b->start; });
  return made;
}

/// The nodes that are missing, with what became of them.
Causes WaitCauses::away(const Job& job) {
  std::string names;
  std::size_t count = 0;
  for (const std::string& name : neighbourhood_of(job.spec).nodes) {
    const auto node = state_.nodes.find(name);
    if (node == state_.nodes.end() || node->second.state == NodeState::up) continue;
    if (++count <= nodes_named_max) names += (names.empty() ? "" : "; ") + text_of(node->second);
  }
  if (count > nodes_named_max) names += "; " + std::to_string(count - nodes_named_max) + " more";
  return detailed(WaitCause::nodes, names);
}

}  // namespace ultramarine::core
