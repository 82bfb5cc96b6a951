// See lifecycle.h. One `on` per kind of entry. Late and repeated reports change nothing; what can't have happened at all ends the
// process by `ensure`.
#include "scheduler/core/lifecycle.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <variant>

#include "scheduler/core/dependencies.h"
#include "scheduler/core/ensure.h"
#include "scheduler/core/failures.h"
#include "scheduler/core/fair_share.h"
#include "scheduler/core/gangs.h"
#include "scheduler/core/limits.h"
#include "scheduler/core/node_upkeep.h"
#include "scheduler/core/shape.h"

namespace ultramarine::core {
namespace {

using enum JobState;

/// Every move there is, with what brings it about.
constexpr std::array moves{
    std::pair{queued, starting},     // StartJob
    std::pair{queued, held},         // JobHeld; its partition left the cluster file
    std::pair{queued, cancelled},    // JobCancelled
    std::pair{queued, failed},       // RejectJob
    std::pair{held, queued},         // JobReleased; its partition is back
    std::pair{held, failed},         // RejectJob
    std::pair{held, cancelled},      // JobCancelled
    std::pair{starting, running},    // GangStarted
    std::pair{starting, stopping},   // JobCancelled, JobRequeued, PreemptJob, GangFailed
    std::pair{starting, unknown},    // NodeUnreachable
    std::pair{running, stopping},    // JobCancelled, JobRequeued, GangFailed, GangStalled
    std::pair{running, unknown},     // NodeUnreachable
    std::pair{running, completed},   // AttemptEnded
    std::pair{running, failed},      // AttemptEnded
    std::pair{unknown, starting},    // NodeJoined
    std::pair{unknown, running},     // NodeJoined
    std::pair{unknown, stopping},    // JobCancelled, JobRequeued, GangFailed
    std::pair{unknown, completed},   // AttemptEnded: the silent node had reported its end before
    std::pair{unknown, failed},      // AttemptEnded
    std::pair{stopping, completed},  // AttemptEnded
    std::pair{stopping, failed},     // AttemptEnded
    std::pair{stopping, cancelled},  // AttemptEnded
    std::pair{stopping, queued},     // AttemptEnded after JobRequeued, or of a failed attempt that is tried again
    std::pair{stopping, held},       // the same, and its partition left the cluster file meanwhile, or it gets no further
};

void move(Job& job, JobState to) {
  ensure(may_follow(job.state, to), "a job moves only along the table of moves");
  job.state = to;
}

void end_job(Job& job, JobState to, Time now) {
  move(job, to);
  job.ended_ms = now;
}

Job& known_job(State& state, JobId id) {
  const auto job = state.jobs.find(id);
  ensure(job != state.jobs.end(), "an entry names a job that was submitted");
  return job->second;
}

/// The job when `attempt` is its open one, else nullptr: a late report changes nothing.
Job* with_open_attempt(State& state, JobId id, std::int64_t attempt) {
  Job& job = known_job(state, id);
  const Attempt* open = open_attempt(job);
  return open && open->attempt == attempt ? &job : nullptr;
}

/// The record of a gang that has not finished, else nullptr: a late report changes nothing. The record of gang 1 is made when it is first
/// needed; the others exist from their request on.
Gang* open_gang(Job* job, std::int64_t number) {
  if (!job) return nullptr;
  std::vector<Gang>& gangs = job->attempts.back().gangs;
  for (Gang& gang : gangs)
    if (gang.gang == number) return gang.finished_ms ? nullptr : &gang;
  if (number != 1) return nullptr;
  return &*gangs.insert(gangs.begin(), Gang{});
}

void ask_to_stop(Job& job, StopCause cause, Time now) {
  job.stop_cause = cause;
  job.stop_asked_ms = now;
  move(job, stopping);
}

/// A job that is to wait can do so only in a partition that exists: else the configuration holds it. Any other hold stays.
JobState waiting_state(const State& state, Time now, Job& job) {
  const bool partition_exists = find_partition(state.cluster, job.spec.partition) != nullptr;
  if (job.hold && job.hold->kind == HoldKind::configuration && partition_exists) job.hold.reset();
  if (!job.hold && !partition_exists)
    job.hold = Hold{HoldKind::configuration, "partition " + job.spec.partition + " is not in the cluster file any more", {}, now};
  return job.hold ? held : queued;
}

void settle_waiting(const State& state, Time now, Job& job) {
  const JobState to = waiting_state(state, now, job);
  if (job.state != to) move(job, to);
}

// ---- one function per kind of entry

void on(State& state, Time now, const ClusterConfigured& event) {
  state.cluster = event.cluster;
  for (const NodeConfig& config : event.cluster.nodes) {
    const auto [node, is_new] = state.nodes.try_emplace(config.name);
    if (is_new) node->second = Node{.config = config, .state = NodeState::down, .since_ms = now};
  }
  std::vector<std::string> names;
  for (const auto& [name, node] : state.nodes) names.push_back(name);
  for (const std::string& name : names) settle_node(state, name);
  for (auto& [id, job] : state.jobs)
    if (waits(job)) settle_waiting(state, now, job);
}

void on(State& state, Time, const PolicyChanged& event) { state.policy = event.policy; }

/// Most submissions bring the same variables as one shortly before: then they share its names.
std::optional<JobId> kept_names(State& state, const JobSubmitted& event) {
  constexpr int looked_at = 8;
  if (event.environment_names.empty()) return std::nullopt;
  int left = looked_at;
  for (auto known = state.environment_names.rbegin(); known != state.environment_names.rend() && left-- > 0; ++known)
    if (known->second == event.environment_names) return known->first;
  state.environment_names.emplace_hint(state.environment_names.end(), event.job, event.environment_names);
  return event.job;
}

Job new_job(State& state, Time now, const JobSubmitted& event) {
  Job job;
  job.job = event.job;
  job.spec = event.spec;
  job.owner = event.actor;
  job.submitted_ms = now;
  job.environment_of = kept_names(state, event);
  if (job.spec.hold) job.hold = Hold{HoldKind::user, "submitted to be held", event.actor, now};
  job.state = waiting_state(state, now, job);
  return job;
}

/// What is the same in every element of the array.
ArrayElement any_element(const JobSubmitted& event) {
  const auto& indices = event.array_indices;
  ArrayElement element{.array = event.job, .index = indices.front(), .count = static_cast<std::int64_t>(indices.size()), .min = indices.front(),
                       .max = indices.back(), .step = 1, .limit = event.array_limit};
  const std::int64_t step = indices.size() > 1 ? indices[1] - indices[0] : 1;
  bool even = true;
  for (std::size_t i = 1; i < indices.size(); ++i) even = even && indices[i] - indices[i - 1] == step;
  if (even) element.step = step;
  return element;
}

void on(State& state, Time now, const JobSubmitted& event) {
  ensure(event.job.value == state.next_job, "job numbers are given in order");
  const std::size_t count = std::max<std::size_t>(event.array_indices.size(), 1);
  Job job = new_job(state, now, event);
  // A key belongs to the first job that came with it.
  if (!event.request_key.empty() && state.request_keys.emplace(std::to_string(event.actor.uid) + ":" + event.request_key, event.job).second)
    job.request_key = event.request_key;
  if (!event.array_indices.empty()) job.array = any_element(event);
  note_submission(state, now, job);
  for (std::size_t place = 0; place < count; ++place) {
    job.job = JobId{state.next_job++};
    if (job.array) job.array->index = event.array_indices[place];
    if (awaits_others(job)) state.awaiting_dependencies.push_back(job.job);
    state.jobs.emplace_hint(state.jobs.end(), job.job, job);
    if (place > 0) continue;
    // What all elements share and can be large stays with the first.
    job.request_key.clear();
    if (job.spec.script) job.spec.script->text.clear();
  }
}

void on(State& state, Time now, const JobCancelled& event) {
  Job& job = known_job(state, event.job);
  if (waits(job)) {
    job.hold.reset();
    end_job(job, cancelled, now);
    stop_awaiting(state, job.job);
  } else if (job.state == stopping) {
    // Who cancels a job that is to queue again doesn't want it back; a job that failed for good has failed.
    const Gang* first = find_gang(job.attempts.back(), 1);
    const bool has_failed = job.stop_cause == StopCause::rank_failed && first && first->outcome && !is_trial_ending(job);
    if (!has_failed || may_restart(job, *first->outcome, first->failure)) job.stop_cause = StopCause::cancelled;
  } else if (is_active(job.state)) {
    ask_to_stop(job, StopCause::cancelled, now);
  }
}

void on(State& state, Time now, const JobRequeued& event) {
  Job& job = known_job(state, event.job);
  if (is_active(job.state) && job.state != stopping) ask_to_stop(job, StopCause::requeued, now);
}

void on(State& state, Time now, const JobHeld& event) {
  Job& job = known_job(state, event.job);
  if (!waits(job)) return;
  job.hold = Hold{event.kind, event.reason, event.actor, now};
  settle_waiting(state, now, job);
}

void on(State& state, Time now, const JobReleased& event) {
  Job& job = known_job(state, event.job);
  if (job.state != held) return;
  job.hold.reset();
  job.released_ms = now;
  job.fruitless = job.failed_in_row = 0;
  settle_waiting(state, now, job);
}

void on(State& state, Time, const JobsReordered& event) {
  if (event.jobs.empty()) return;
  const Job& one = known_job(state, event.jobs.front());
  // The turns of those that have ended were of an earlier order.
  for (auto& [id, job] : state.jobs)
    if (is_terminal(job.state) && job.owner.uid == one.owner.uid && job.spec.account == one.spec.account) job.own_turn = 0;
  std::int64_t turn = 0;
  for (const JobId id : event.jobs) known_job(state, id).own_turn = ++turn;
}

void on(State& state, Time now, const JobEdited& event) {
  Job& job = known_job(state, event.job);
  if (!waits(job)) return;
  change(job.spec, event.change);
  settle_waiting(state, now, job);
}

void on(State& state, Time, const FavourBilled& event) {
  ensure(event.bill.bill == static_cast<std::int64_t>(state.bills.size()) + 1, "bills are numbered in order");
  state.bills.push_back(event.bill);
}

void on(State& state, Time, const JobBoosted& event) {
  Job& job = known_job(state, event.job);
  if (waits(job)) job.boost = Boost{event.bill, event.until_ms};
}

void on(State& state, Time, const JobExtended& event) {
  Job& job = known_job(state, event.job);
  if (!is_terminal(job.state)) job.spec.time_limit_ms = event.time_limit_ms;
}

void on(State& state, Time, const WaitsAccounted& event) {
  for (const AccountedWait& wait : event.waits) {
    Job& job = known_job(state, wait.job);
    job.waited = wait.parts;
    job.waited_until_ms = wait.until_ms;
  }
}

void on(State& state, Time now, const NodeDrained& event) {
  const auto node = state.nodes.find(event.node);
  if (node == state.nodes.end()) return;
  node->second.drain = Drain{event.reason, event.actor, now};
  settle_drain(state, now, event.node);
}

void on(State& state, Time now, const NodeResumed& event) {
  const auto node = state.nodes.find(event.node);
  if (node == state.nodes.end()) return;
  node->second.drain.reset();
  node->second.refusals = 0;
  settle_drain(state, now, event.node);
}

void on(State& state, Time now, const NodeLost& event) {
  const auto node = state.nodes.find(event.node);
  if (node == state.nodes.end() || node->second.state != NodeState::unreachable) return;
  node->second.lost = DeclaredLoss{event.reason, event.actor, now};
}

void on(State& state, Time, const ReservationMade& event) { state.reservations[event.reservation.name] = event.reservation; }

void on(State& state, Time, const ReservationEnded& event) { state.reservations.erase(event.name); }

void on(State& state, Time, const PeriodStarted& event) { start_period(state, event.start_ms, event.end_ms); }

void on(State& state, Time now, const NodeJoined& event) {
  const auto found = state.nodes.find(event.node);
  if (found == state.nodes.end()) return;  // it left the cluster file meanwhile
  Node& node = found->second;
  if (node.boot_id != event.boot_id) node.boot_seen_ms = now;
  node.boot_id = event.boot_id;
  node.agent_version = event.agent_version;
  node.address = event.address;
  node.lost.reset();
  node.launches_as_owner = event.launches_as_owner;
  if (node.state == NodeState::down || node.state == NodeState::suspect || node.state == NodeState::unreachable) enter(node, NodeState::up, now);
  settle_drain(state, now, event.node);
  for (auto& [id, job] : state.jobs) {
    if (job.state != unknown) continue;
    const Attempt& attempt = job.attempts.back();
    if (!uses(attempt.allocation, event.node) || any_node_unreachable(state, attempt.allocation)) continue;
    move(job, attempt.started_ms ? running : starting);
  }
}

void on(State& state, Time now, const NodeSuspected& event) {
  const auto node = state.nodes.find(event.node);
  if (node == state.nodes.end()) return;
  const NodeState before = node->second.state;
  if (before == NodeState::up || before == NodeState::draining || before == NodeState::drained) enter(node->second, NodeState::suspect, now);
}

void on(State& state, Time now, const NodeUnreachable& event) {
  const auto node = state.nodes.find(event.node);
  if (node == state.nodes.end() || node->second.state == NodeState::down) return;
  enter(node->second, NodeState::unreachable, now);
  for (auto& [id, job] : state.jobs)
    if ((job.state == starting || job.state == running) && uses(job.attempts.back().allocation, event.node)) move(job, unknown);
}

void on(State& state, Time now, const GangRequested& event) {
  Job* job = with_open_attempt(state, event.job, event.attempt);
  if (!job || !takes_gangs(*job, event.spec.beside_rank.has_value())) return;
  Attempt& attempt = job->attempts.back();
  ensure(event.gang == next_gang(attempt), "gangs are numbered in order");
  Gang& gang = attempt.gangs.emplace_back();
  gang.gang = event.gang;
  gang.spec = event.spec;
  gang.requested_ms = now;
}

void on(State& state, Time, const GangStopRequested& event) {
  Gang* gang = open_gang(with_open_attempt(state, event.job, event.attempt), event.gang);
  if (gang && gang->spec) gang->stop_requested = true;
}

void on(State& state, Time now, const GangStarted& event) {
  Job* job = with_open_attempt(state, event.job, event.attempt);
  Gang* gang = open_gang(job, event.gang);
  if (!gang) return;
  if (!gang->started_ms) gang->started_ms = now;
  if (event.gang != 1) return;
  Attempt& attempt = job->attempts.back();
  if (!attempt.started_ms) attempt.started_ms = now;
  for (const NodeAllocation& on_node : attempt.allocation)
    if (const auto node = state.nodes.find(on_node.node); node != state.nodes.end()) node->second.refusals = 0;
  if (job->state == starting) move(*job, running);
}

void on(State& state, Time now, const CheckpointSaved& event) {
  Job* job = with_open_attempt(state, event.job, event.attempt);
  if (!job) return;
  const bool of_this_attempt = job->checkpoint && job->checkpoint->at_ms >= job->attempts.back().decided_ms;
  if (of_this_attempt && event.step < job->checkpoint->step) return;  // an old report, repeated
  job->checkpoint = Checkpoint{event.step, event.path, now};
}

void on(State& state, Time now, const GangFailed& event) {
  Job* job = with_open_attempt(state, event.job, event.attempt);
  Gang* gang = open_gang(job, event.gang);
  if (!gang || gang->failure.has_value() != event.corrects) return;  // only the first failure counts: the others follow from it
  gang->failure = event.failure;
  gang->outcome = event.outcome;
  if (event.corrects && event.gang == 1) job->attempts.back().failure = gang->failure;
  if (event.corrects || event.gang != 1) return;  // what `ultra run` started fails for itself: the script sees its exit code
  // A script that gives up because a node took its ranks away is not to blame.
  for (const Gang& other : job->attempts.back().gangs) {
    if (other.gang == 1 || other.outcome != Outcome::node_lost || !other.failure) continue;
    Gang& script = job->attempts.back().gangs.front();
    script.outcome = Outcome::node_lost;
    script.failure->detail = other.failure->detail + "; then the script ended: " + event.failure.detail;
    script.failure->node = other.failure->node;
    script.failure->node_at_fault = true;
    break;
  }
  job->attempts.back().failure = gang->failure;
  if (job->state != stopping) ask_to_stop(*job, StopCause::rank_failed, now);
}

/// What failed before on nodes that can be reached failed because of those that can't: ranks end when their peers are gone.
void on(State& state, Time now, const GangCutOff& event) {
  Job* job = with_open_attempt(state, event.job, event.attempt);
  Gang* gang = open_gang(job, event.gang);
  if (!gang || gang->cut_off_until_ms) return;
  gang->cut_off_until_ms = now + event.wait_ms;
  if (!gang->failure || gang->outcome == Outcome::node_lost || event.nodes.empty()) return;
  gang->outcome = Outcome::node_lost;
  gang->failure->detail = "node " + event.nodes.front() + " can't be reached; " + gang->failure->detail;
  gang->failure->node = event.nodes.front();
  gang->failure->node_at_fault = true;
  if (event.gang == 1) job->attempts.back().failure = gang->failure;
}

/// A hang is a failure, unless the cluster only wants to know of it.
void on(State& state, Time now, const GangStalled& event) {
  if (state.cluster.hang.stop) return on(state, now, GangFailed{event.job, event.attempt, event.gang, Outcome::stalled, event.failure, event.actor});
  if (Gang* gang = open_gang(with_open_attempt(state, event.job, event.attempt), event.gang)) gang->stall = event.failure;
}

void on(State& state, Time, const GangWentOn& event) {
  if (Gang* gang = open_gang(with_open_attempt(state, event.job, event.attempt), event.gang)) gang->stall.reset();
}

void on(State& state, Time now, const GangFinished& event) {
  Gang* gang = open_gang(with_open_attempt(state, event.job, event.attempt), event.gang);
  if (!gang) return;
  gang->finished_ms = now;
  gang->stall.reset();
  gang->outcome = event.outcome;
  gang->ranks = event.ranks;
  std::stable_sort(gang->ranks.begin(), gang->ranks.end(), [](const RankResult& a, const RankResult& b) { return a.rank < b.rank; });
}

void on(State& state, Time now, const AttemptEnded& event) {
  Job* job = with_open_attempt(state, event.job, event.attempt);
  if (!job) return;
  Attempt& attempt = job->attempts.back();
  attempt.ended_ms = now;
  attempt.outcome = event.outcome;
  const std::int64_t held_ms = std::max<std::int64_t>((now - attempt.decided_ms).ms, 0);
  std::int64_t devices = 0;
  for (const NodeAllocation& on_node : attempt.allocation) devices += static_cast<std::int64_t>(on_node.devices.size());
  state.allocated_gpu_ms[job->spec.account] += devices * held_ms;
  charge_ended_attempt(state, now, *job);
  charge_period(state.period, *job, attempt);

  // Every end but success and failure was asked for, so an attempt that was not being stopped passes through stopping here.
  const bool is_yielding = event.outcome == Outcome::preempted && job->stop_cause != StopCause::cancelled;
  const bool is_cancelled = event.outcome == Outcome::cancelled || (event.outcome == Outcome::preempted && !is_yielding);
  note_refusal(state, now, attempt);
  const bool is_tried = job->stop_cause != StopCause::cancelled && is_end_of_trial(attempt, event.outcome);
  if (is_tried && event.outcome == Outcome::timed_out) forget_failure(attempt);
  const bool wants_to_queue = is_yielding || is_tried || restarts(state.cluster.timeouts, *job, now);
  if ((wants_to_queue || is_cancelled || job->state == starting) && job->state != stopping) move(*job, stopping);
  job->stop_asked_ms.reset();
  if (wants_to_queue)
    move(*job, waiting_state(state, now, *job));
  else
    end_job(*job, is_cancelled ? cancelled : event.outcome == Outcome::succeeded ? completed : failed, now);
  job->stop_cause = wants_to_queue ? StopCause::none : job->stop_cause;
  for (const NodeAllocation& on_node : attempt.allocation) {
    settle_node(state, on_node.node);
    settle_drain(state, now, on_node.node);
  }
}

void on(State& state, Time now, const StartJob& decision) {
  Job& job = known_job(state, decision.job);
  job.restart_ms.reset();
  job.avoided_nodes.clear();
  if (!decision.trial_ms) job.boost.reset();
  ensure(decision.attempt == static_cast<std::int64_t>(job.attempts.size()) + 1, "attempts are numbered in order");
  move(job, starting);
  Attempt attempt;
  attempt.attempt = decision.attempt;
  attempt.decided_ms = now;
  attempt.allocation = decision.allocation;
  attempt.backfilled = decision.backfilled;
  attempt.trial_ms = decision.trial_ms;
  job.attempts.push_back(std::move(attempt));
}

void on(State& state, Time now, const PreemptJob& decision) {
  Job* job = with_open_attempt(state, decision.job, decision.attempt);
  if (job && job->state != stopping) ask_to_stop(*job, StopCause::preempted, now);
}

/// A rejection is an attempt that held nothing and ended at once, so that its failure is found where every failure is.
void on(State& state, Time now, const RejectJob& decision) {
  Job& job = known_job(state, decision.job);
  Attempt attempt;
  attempt.attempt = static_cast<std::int64_t>(job.attempts.size()) + 1;
  attempt.decided_ms = now;
  attempt.ended_ms = now;
  attempt.outcome = Outcome::start_failed;
  attempt.failure = Failure{.detail = decision.detail, .at_ms = now};
  job.attempts.push_back(std::move(attempt));
  job.hold.reset();
  end_job(job, failed, now);
  stop_awaiting(state, job.job);
}

void on(State& state, Time now, const Round& round) {
  if (!round.decisions.empty()) ++state.rounds;
  for (const Decision& decision : round.decisions) std::visit([&](const auto& alternative) { on(state, now, alternative); }, decision);
}

}  // namespace

bool may_follow(JobState from, JobState to) { return std::find(moves.begin(), moves.end(), std::pair{from, to}) != moves.end(); }

void change(JobSpec& spec, const JobChange& change) {
  if (change.resources) spec.resources = *change.resources;
  if (change.time_limit_ms) spec.time_limit_ms = *change.time_limit_ms;
  if (change.partition) spec.partition = *change.partition;
  if (change.qos) spec.qos = *change.qos;
  if (change.only_nodes) spec.only_nodes = *change.only_nodes;
  if (change.without_nodes) spec.without_nodes = *change.without_nodes;
  if (change.exclusive) spec.exclusive = *change.exclusive;
}

Duration time_limit(const Job& job, const Attempt& attempt) { return attempt.trial_ms.value_or(job.spec.time_limit_ms); }

const Attempt* open_attempt(const Job& job) { return is_active(job.state) ? &job.attempts.back() : nullptr; }

bool is_in_trial(const Job& job) {
  const Attempt* const open = open_attempt(job);
  return open && open->trial_ms && job.stop_cause != StopCause::cancelled && (job.stop_cause != StopCause::rank_failed || is_trial_ending(job));
}

void apply_entry(State& state, Time now, const Entry& entry) {
  std::visit(
      [&](const auto& alternative) {
        on(state, now, alternative);
        using Kind = std::decay_t<decltype(alternative)>;
        constexpr bool may_start_or_end_jobs = std::is_same_v<Kind, JobSubmitted> || std::is_same_v<Kind, JobCancelled> ||
                                               std::is_same_v<Kind, GangStarted> || std::is_same_v<Kind, AttemptEnded> || std::is_same_v<Kind, Round>;
        if constexpr (may_start_or_end_jobs) settle_dependencies(state, now);
      },
      entry);
}

}  // namespace ultramarine::core
