// See scheduler.h: the public face of the room; the work is in lifecycle, planner and accept.
#include "scheduler/core/scheduler.h"

#include <algorithm>
#include <utility>

#include "scheduler/core/accept.h"
#include "scheduler/core/impossible.h"
#include "scheduler/core/lifecycle.h"
#include "scheduler/core/planner.h"
#include "scheduler/core/shape.h"

namespace ultramarine::core {
namespace {

std::string why_never(const ClusterConfig& cluster, const JobSpec& spec) {
  const PartitionConfig* partition = find_partition(cluster, spec.partition);
  if (!partition) return "partition " + spec.partition + " is not in the cluster any more; submit to another partition";
  const auto refusal = impossible_request(cluster, *partition, spec);
  return refusal ? refusal->problem + "; " + refusal->remedy : "the cluster can't run it any more";
}

/// Waits for what others hold, and so can be overtaken: not for a reason of its own.
bool waits_its_turn(ReasonCode code) {
  return code == ReasonCode::resources || code == ReasonCode::fragmentation || code == ReasonCode::priority || code == ReasonCode::nodes_missing;
}

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
  std::int64_t waiting_ahead = 0;
  for (PlannedJob& line : make_plan(state_, now, PlanExtent::starts).jobs) {
    const Job& job = state_.jobs.at(line.job);
    if (line.reason.code == ReasonCode::starting_now)
      decisions.push_back(StartJob{line.job, static_cast<std::int64_t>(job.attempts.size()) + 1, std::move(line.allocation), line.backfilled,
                                   line.backfilled ? waiting_ahead : 0});
    else if (waits_its_turn(line.reason.code))
      ++waiting_ahead;
    else if (line.reason.code == ReasonCode::never_fits)
      decisions.push_back(RejectJob{line.job, why_never(state_.cluster, job.spec)});
  }
  return decisions;
}

// Absolute planned starts stay where they are while time passes, because devices become free by events alone. What time moves are the
// ends of overdue attempts: from the first such moment on, other jobs may take the place of one whose start slips.
std::optional<Time> Scheduler::next_wakeup(Time now) const {
  if (!anything_queued(state_)) return std::nullopt;
  std::optional<Time> earliest;
  for (const auto& [id, job] : state_.jobs) {
    const Attempt* attempt = open_attempt(job);
    if (!attempt) continue;
    const bool gives_to_others = std::any_of(attempt->allocation.begin(), attempt->allocation.end(), [&](const NodeAllocation& on_node) {
      const auto node = state_.nodes.find(on_node.node);
      return node != state_.nodes.end() && node->second.state == NodeState::up;
    });
    const bool gives_to_its_array = job.array && job.array->limit > 0;
    if (!gives_to_others && !gives_to_its_array) continue;
    const Time end = assumed_end(job, now);
    if (!earliest || end < *earliest) earliest = end;
  }
  return earliest;
}

std::variant<Accepted, Refusal> Scheduler::accept(JobSpec spec, const Actor& actor) const { return accept_request(state_, std::move(spec), actor); }

bool Scheduler::is_current(JobId job, std::int64_t attempt) const {
  const auto found = state_.jobs.find(job);
  if (found == state_.jobs.end()) return false;
  const Attempt* open = open_attempt(found->second);
  return open && open->attempt == attempt;
}

}  // namespace ultramarine::core
