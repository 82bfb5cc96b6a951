// See scheduler.h: the public face of the room; the work is in lifecycle, planner and accept.
#include "scheduler/core/scheduler.h"

#include <algorithm>
#include <utility>

#include "scheduler/core/accept.h"
#include "scheduler/core/calendar.h"
#include "scheduler/core/impossible.h"
#include "scheduler/core/lifecycle.h"
#include "scheduler/core/planner.h"
#include "scheduler/core/policy/policies.h"
#include "scheduler/core/shape.h"

namespace ultramarine::core {
namespace {

std::string why_never(const ClusterConfig& cluster, const JobSpec& spec) {
  const PartitionConfig* partition = find_partition(cluster, spec.partition);
  if (!partition) return "partition " + spec.partition + " is not in the cluster any more; submit to another partition";
  const auto refusal = impossible_request(cluster, *partition, spec);
  return refusal ? refusal->problem + "; " + refusal->remedy : "the cluster can't run it any more";
}

constexpr const char* missed_deadline = "it can't end by its deadline any more, with its whole time limit used; submit it again with a later deadline or less time";

bool anything_queued(const State& state) {
  return std::any_of(state.jobs.begin(), state.jobs.end(), [](const auto& entry) { return entry.second.state == JobState::queued; });
}

}  // namespace

Scheduler::Scheduler(State state) : state_(std::move(state)) {}

void Scheduler::apply(Time now, const Entry& entry) { apply_entry(state_, now, entry); }

Plan Scheduler::plan(Time now) const { return make_plan(state_, now); }

std::vector<Decision> Scheduler::decide(Time now) const {
  std::vector<Decision> decisions;
  if (!anything_queued(state_)) return decisions;
  Choices choices = choose(state_, now);
  for (const JobId id : choices.impossible) {
    const Job& job = state_.jobs.at(id);
    decisions.push_back(RejectJob{id, misses_deadline(job, now) ? missed_deadline : why_never(state_.cluster, job.spec)});
  }
  for (const JobId id : choices.yielding) decisions.push_back(PreemptJob{id, static_cast<std::int64_t>(state_.jobs.at(id).attempts.size())});
  for (StartJob& start : choices.starts) decisions.push_back(std::move(start));
  return decisions;
}

// The order of the jobs changes at ticks of the priorities, if the policy has such.
// Absolute planned starts stay where they are while time passes, because devices become free by events alone, and nodes at dates that are known.
// What time moves are the ends of overdue attempts: from the first such moment on, other jobs may take the place of one whose start slips.
std::optional<Time> Scheduler::next_wakeup(Time now) const {
  if (!anything_queued(state_)) return std::nullopt;
  const policy::Policies policies = policy::make_policies(state_, now);
  std::optional<Time> earliest = policies.order->changes_at();
  const auto not_after = [&](std::optional<Time> time) {
    if (time && (!earliest || *time < *earliest)) earliest = time;
  };
  not_after(next_date(state_, now));
  for (const auto& [id, job] : state_.jobs) {
    if (job.state == JobState::queued) not_after(next_date(job, now));
    const Attempt* attempt = open_attempt(job);
    if (!attempt) continue;
    if (policies.preemption->ranks_running()) not_after(policies.order->next_change(job));
    const bool gives_to_others = std::any_of(attempt->allocation.begin(), attempt->allocation.end(), [&](const NodeAllocation& on_node) {
      const auto node = state_.nodes.find(on_node.node);
      return node != state_.nodes.end() && node->second.state == NodeState::up;
    });
    const bool gives_to_its_array = job.array && job.array->limit > 0;
    if (!gives_to_others && !gives_to_its_array) continue;
    not_after(assumed_end(job, state_.policy, now));
  }
  return earliest;
}

std::variant<Accepted, Refusal> Scheduler::accept(JobSpec spec, const Actor& actor, Time now) const {
  return accept_request(state_, std::move(spec), actor, now);
}

bool Scheduler::is_current(JobId job, std::int64_t attempt) const {
  const auto found = state_.jobs.find(job);
  if (found == state_.jobs.end()) return false;
  const Attempt* open = open_attempt(found->second);
  return open && open->attempt == attempt;
}

}  // namespace ultramarine::core
