// See scheduler.h: the public face of the room; the work is in lifecycle, planner and accept.
#include "scheduler/core/scheduler.h"

#include <algorithm>
#include <set>
#include <utility>

#include "scheduler/core/accept.h"
#include "scheduler/core/calendar.h"
#include "scheduler/core/ensure.h"
#include "scheduler/core/impossible.h"
#include "scheduler/core/lifecycle.h"
#include "scheduler/core/planner.h"
#include "scheduler/core/policy/policies.h"
#include "scheduler/core/roster.h"
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

/// The promise that everything else rests on, checked again where it would be broken.
void ensure_devices_are_free(const Roster& roster, const Round& round) {
  std::set<std::pair<std::string, std::int64_t>> given;
  for (const Decision& decision : round.decisions)
    if (const auto* start = std::get_if<StartJob>(&decision))
      for (const NodeAllocation& on_node : start->allocation)
        for (const std::int64_t device : on_node.devices)
          ensure(!roster.is_held(on_node.node, device) && given.emplace(on_node.node, device).second, "no device is held twice");
}

}  // namespace

struct Scheduler::Inside {
  explicit Inside(State from) : state(std::move(from)), roster(state) {}
  State state;
  Roster roster;
};

Scheduler::Scheduler() : Scheduler(State{}) {}
Scheduler::Scheduler(State state) : inside_(std::make_unique<Inside>(std::move(state))) {}
Scheduler::Scheduler(const Scheduler& other) : Scheduler(other.state()) {}
Scheduler::Scheduler(Scheduler&& other) noexcept = default;
Scheduler& Scheduler::operator=(Scheduler other) noexcept {
  inside_ = std::move(other.inside_);
  return *this;
}
Scheduler::~Scheduler() = default;

const State& Scheduler::state() const { return inside_->state; }

void Scheduler::apply(Time now, const Entry& entry) {
  if (const auto* round = std::get_if<Round>(&entry)) ensure_devices_are_free(inside_->roster, *round);
  apply_entry(inside_->state, now, entry);
  inside_->roster.note(entry);
}

Plan Scheduler::plan(Time now) const {
  inside_->roster.prepare(now);
  return make_plan(state(), inside_->roster, now);
}

std::vector<std::optional<Time>> Scheduler::probe(Time now, JobId job, const std::vector<Job>& variants) const {
  inside_->roster.prepare(now);
  return core::probe(state(), inside_->roster, now, job, variants);
}

std::vector<Decision> Scheduler::decide(Time now) const {
  std::vector<Decision> decisions;
  if (inside_->roster.jobs_queued().empty()) return decisions;
  inside_->roster.prepare(now);
  Choices choices = choose(state(), inside_->roster, now);
  for (const JobId id : choices.impossible) {
    const Job& job = state().jobs.at(id);
    decisions.push_back(RejectJob{id, misses_deadline(job, now) ? missed_deadline : why_never(state().cluster, job.spec)});
  }
  for (const JobId id : choices.yielding) decisions.push_back(PreemptJob{id, static_cast<std::int64_t>(state().jobs.at(id).attempts.size())});
  for (StartJob& start : choices.starts) decisions.push_back(std::move(start));
  return decisions;
}

// The order of the jobs changes at ticks of the priorities, if the policy has such.
// Absolute planned starts stay where they are while time passes, because devices become free by events alone, and nodes at dates that are known.
// What time moves are the ends of overdue attempts: from the first such moment on, other jobs may take the place of one whose start slips.
std::optional<Time> Scheduler::next_wakeup(Time now) const {
  Roster& roster = inside_->roster;
  if (roster.jobs_queued().empty()) return std::nullopt;
  roster.prepare(now);
  const policy::Policies& policies = roster.policies();
  std::optional<Time> earliest = policies.order->changes_at();
  const auto not_after = [&](std::optional<Time> time) {
    if (time && (!earliest || *time < *earliest)) earliest = time;
  };
  not_after(next_date(state(), now));
  not_after(roster.next_date(now));
  for (const auto& [id, active] : roster.jobs_active()) {
    const Job& job = *active;
    const Attempt* attempt = open_attempt(job);
    if (policies.preemption->ranks_running()) not_after(policies.order->next_change(job));
    const bool gives_to_others = std::any_of(attempt->allocation.begin(), attempt->allocation.end(), [&](const NodeAllocation& on_node) {
      const auto node = state().nodes.find(on_node.node);
      return node != state().nodes.end() && node->second.state == NodeState::up;
    });
    const bool gives_to_its_array = job.array && job.array->limit > 0;
    if (!gives_to_others && !gives_to_its_array) continue;
    not_after(assumed_end(job, state().policy, now));
  }
  return earliest;
}

std::variant<Accepted, Refusal> Scheduler::accept(JobSpec spec, const Actor& actor, Time now) const {
  return accept_request(state(), std::move(spec), actor, now);
}

bool Scheduler::is_current(JobId job, std::int64_t attempt) const {
  const auto found = state().jobs.find(job);
  if (found == state().jobs.end()) return false;
  const Attempt* open = open_attempt(found->second);
  return open && open->attempt == attempt;
}

}  // namespace ultramarine::core
