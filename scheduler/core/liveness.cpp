// See liveness.h. Works on one gang at a time: what is known of each of its nodes is boiled down to one word, and the rules for
// events and commands are written in these words alone.
#include "scheduler/core/liveness.h"

#include <algorithm>

#include "scheduler/core/first_failure.h"
#include "scheduler/core/gangs.h"
#include "scheduler/core/lifecycle.h"
#include "scheduler/core/stall.h"

namespace ultramarine::core {
namespace {

/// How far a gang is on a node, as far as can be told.
///   unheard   it has not reported: not asked yet, the answer is under way, or the node is silent
///   lost      the node said hello without the gang that it must have had, or somebody says that it is off: whatever ran there is gone
///   failed    it reported a failure, and is not finished yet
enum class Sight { unheard, preparing, prepared, running, stopping, failed, finished, lost };

bool has_failed(const GangReport& report) { return report.failure.has_value() || report.outcome.value_or(Outcome::succeeded) != Outcome::succeeded; }

/// An open gang, with what its nodes said.
struct GangView {
  GangKey key;
  const Job& job;
  const Attempt& attempt;
  const Gang* record = nullptr;           // gang 1 has none before something happened to it
  bool is_stopping = false;               // asked to end: what its nodes say then is no failure
  Allocation allocation;                  // of the gang
  const GangLiveness* liveness = nullptr;
  std::vector<Sight> sights;              // by node, in allocation order

  const std::string& node(std::size_t index) const { return allocation[index].node; }
  bool has_started() const { return record && record->started_ms; }
  Time wanted_since() const { return record && record->requested_ms ? *record->requested_ms : attempt.decided_ms; }
  const GangReport* report(std::size_t index) const {
    if (!liveness) return nullptr;
    const auto found = liveness->nodes.find(node(index));
    return found == liveness->nodes.end() ? nullptr : &found->second;
  }
  template <class Predicate>
  bool all(Predicate predicate) const {
    return std::all_of(sights.begin(), sights.end(), predicate);
  }
  template <class Predicate>
  bool any(Predicate predicate) const {
    return std::any_of(sights.begin(), sights.end(), predicate);
  }
};

bool is_gone(Sight sight) { return sight == Sight::finished || sight == Sight::lost; }
bool has_run(Sight sight) { return sight == Sight::running || sight == Sight::stopping || sight == Sight::finished; }

/// Said hello in this life of the scheduler, and doesn't know the gang.
bool denies(const Liveness& liveness, const std::string& node, const GangKey& key) {
  const auto found = liveness.nodes.find(node);
  if (found == liveness.nodes.end() || !found->second.connected) return false;
  const auto& known = found->second.known_gangs;
  return std::find(known.begin(), known.end(), key) == known.end();
}

/// Proof that every node had prepared the gang once: somewhere it ran. (While it is being stopped, or after a failure, the later phases
/// prove nothing: a gang that was only prepared goes through them too.)
bool proves_past_prepared(const GangReport& report, bool is_stopping) {
  if (report.phase == GangPhase::running) return true;
  if (is_stopping || has_failed(report)) return false;
  return report.phase == GangPhase::stopping || report.phase == GangPhase::finished;
}

Sight sight_of(const GangReport& report) {
  if (report.phase == GangPhase::finished) return Sight::finished;
  if (has_failed(report)) return Sight::failed;
  switch (report.phase) {
    case GangPhase::preparing: return Sight::preparing;
    case GangPhase::prepared: return Sight::prepared;
    case GangPhase::running: return Sight::running;
    default: return Sight::stopping;
  }
}

bool is_declared_lost(const State& state, const std::string& node) {
  const auto found = state.nodes.find(node);
  return found != state.nodes.end() && found->second.lost;
}

GangView look(const Job& job, std::int64_t gang, const State& state, const Liveness& liveness) {
  const Attempt& attempt = job.attempts.back();
  GangView view{{job.job, attempt.attempt, gang}, job, attempt, find_gang(attempt, gang), is_being_stopped(job, attempt, gang),
                gang_allocation(job, attempt, gang), nullptr, {}};
  const auto reported = liveness.gangs.find(view.key);
  if (reported != liveness.gangs.end()) view.liveness = &reported->second;

  bool past_prepared = view.has_started();
  for (std::size_t index = 0; index < view.allocation.size(); ++index)
    if (const GangReport* report = view.report(index)) past_prepared |= proves_past_prepared(*report, view.is_stopping);

  for (std::size_t index = 0; index < view.allocation.size(); ++index) {
    const GangReport* report = view.report(index);
    Sight sight = report ? sight_of(*report) : Sight::unheard;
    if (sight != Sight::finished && is_declared_lost(state, view.node(index))) {
      view.sights.push_back(Sight::lost);
      continue;
    }
    // A node that denies a gang may just not have been asked yet, or has forgotten what it only prepared and can be asked again;
    // but what ran there, or was reported and is now to stop, is gone.
    if (sight != Sight::finished && denies(liveness, view.node(index), view.key)) {
      const bool is_lost = past_prepared || (report && view.is_stopping);
      sight = is_lost ? Sight::lost : Sight::unheard;
    }
    view.sights.push_back(sight);
  }
  return view;
}

GangFailed gang_failed(const GangView& view, Outcome outcome, Failure failure) {
  return {view.key.job, view.key.attempt, view.key.gang, outcome, std::move(failure), by_the_scheduler};
}

/// What the nodes' reports say is the cause.
std::optional<GangFailed> reported_failure(const GangView& view, const Liveness& liveness) {
  if (!view.liveness) return std::nullopt;
  auto cause = first_failure(view.allocation, *view.liveness, liveness);
  return cause ? std::optional(gang_failed(view, cause->outcome, std::move(cause->failure))) : std::nullopt;
}

/// While the gang is being stopped for what one node said first: another node has said since what that followed from.
std::optional<GangFailed> corrected_failure(const GangView& view, const Liveness& liveness) {
  if (!view.liveness || !view.record || !view.record->failure || !may_be_corrected(view.record->outcome.value_or(Outcome::succeeded))) return std::nullopt;
  const Failure& named = *view.record->failure;
  auto cause = first_failure(view.allocation, *view.liveness, liveness, ReportedFailure{*view.record->outcome, named});
  if (cause->outcome == view.record->outcome && cause->failure.node == named.node && cause->failure.rank == named.rank) return std::nullopt;
  GangFailed event = gang_failed(view, cause->outcome, std::move(cause->failure));
  event.corrects = true;
  return event;
}

std::optional<GangFailed> lost_node(const GangView& view, const State& state, Time now) {
  for (std::size_t index = 0; index < view.sights.size(); ++index) {
    if (view.sights[index] != Sight::lost) continue;
    const auto node = state.nodes.find(view.node(index));
    const bool rebooted = node != state.nodes.end() && node->second.boot_seen_ms > view.wanted_since();
    const bool declared = is_declared_lost(state, view.node(index));
    Failure failure{.node = view.node(index), .node_at_fault = true, .at_ms = now};
    if (declared) {
      const DeclaredLoss& loss = *node->second.lost;
      failure.detail = "node " + failure.node + " is lost, " + loss.actor.name + " says: " + loss.reason;
    } else if (rebooted) {
      failure.detail = "node " + failure.node + " was restarted while the gang ran there";
    } else {
      failure.detail = "the agent of node " + failure.node + " came back without the gang: its supervisor is gone";
    }
    return gang_failed(view, declared || rebooted ? Outcome::node_lost : Outcome::supervisor_lost, std::move(failure));
  }
  return std::nullopt;
}

/// When the launch counts as failed, and because of which node; nullopt: it is not being launched, or there is nothing to wait for.
struct LaunchLimit {
  Time at;
  std::size_t node;
};
std::optional<LaunchLimit> launch_limit(const GangView& view, Duration deadline) {
  if (view.has_started() || view.is_stopping || !view.liveness || view.liveness->first_asked_ms == Time{}) return std::nullopt;
  const Time asked = view.liveness->first_asked_ms;
  const auto first = [&](auto predicate) { return std::find_if(view.sights.begin(), view.sights.end(), predicate) - view.sights.begin(); };
  const auto unprepared = static_cast<std::size_t>(first([](Sight s) { return s == Sight::unheard || s == Sight::preparing; }));
  if (unprepared < view.sights.size()) return LaunchLimit{asked + deadline, unprepared};
  const auto not_running = static_cast<std::size_t>(first([](Sight s) { return s == Sight::prepared; }));
  if (not_running < view.sights.size()) return LaunchLimit{asked + deadline + deadline, not_running};
  return std::nullopt;
}

std::optional<GangFailed> late_launch(const GangView& view, Duration deadline, Time now) {
  const auto limit = launch_limit(view, deadline);
  if (!limit || now < limit->at) return std::nullopt;
  const std::string& node = view.node(limit->node);
  const std::int64_t waited_s = (limit->at - view.liveness->first_asked_ms).ms / 1000;
  const bool prepared = view.sights[limit->node] == Sight::prepared;
  Failure failure{.node = node, .at_ms = now};
  failure.detail = "node " + node + (prepared ? " did not start its ranks within " : " did not prepare the gang within ") + std::to_string(waited_s) +
                   " s; look at the log of its agent";
  failure.node_at_fault = true;
  return gang_failed(view, Outcome::start_failed, std::move(failure));
}

bool has_saved_since_asked(const Job& job) { return job.checkpoint && job.stop_asked_ms && job.checkpoint->at_ms >= *job.stop_asked_ms; }

/// Asked to stop, all its ranks ended well, and nothing was saved since: there is nothing to go on with.
bool was_done_anyway(const GangView& view) {
  if (has_saved_since_asked(view.job)) return false;
  if (!view.has_started()) return false;
  for (std::size_t index = 0; index < view.sights.size(); ++index) {
    if (view.sights[index] != Sight::finished) return false;
    const std::vector<RankResult>& ranks = view.report(index)->ranks;
    if (ranks.empty() || std::any_of(ranks.begin(), ranks.end(), [](const RankResult& rank) { return rank.signal != 0 || rank.exit_code != 0; })) return false;
  }
  return true;
}

/// Of gang 1, and so of its attempt.
Outcome outcome_of_the_job(const GangView& view) {
  switch (view.job.stop_cause) {
    case StopCause::none: return Outcome::succeeded;
    case StopCause::cancelled: return Outcome::cancelled;
    case StopCause::requeued:
    case StopCause::preempted: return was_done_anyway(view) ? Outcome::succeeded : Outcome::preempted;
    case StopCause::node_unreachable: return Outcome::node_lost;
    case StopCause::rank_failed: break;
  }
  return view.record && view.record->outcome ? *view.record->outcome : Outcome::failed;
}

/// Of a gang of `ultra run`: its failure; what it says when it had ended by itself before it could be stopped; else it was stopped.
Outcome outcome_of_its_own(const GangView& view) {
  if (view.record && view.record->outcome) return *view.record->outcome;
  if (!view.is_stopping) return Outcome::succeeded;
  for (std::size_t index = 0; index < view.sights.size(); ++index)
    if (view.sights[index] != Sight::finished || has_failed(*view.report(index)))
      return view.job.stop_cause == StopCause::requeued || view.job.stop_cause == StopCause::preempted ? Outcome::preempted : Outcome::cancelled;
  return Outcome::succeeded;
}

Outcome final_outcome(const GangView& view) { return view.key.gang == 1 ? outcome_of_the_job(view) : outcome_of_its_own(view); }

std::vector<RankResult> rank_results(const GangView& view) {
  std::vector<RankResult> ranks;
  for (std::size_t index = 0; index < view.sights.size(); ++index)
    if (view.sights[index] == Sight::finished) {
      const auto& reported = view.report(index)->ranks;
      ranks.insert(ranks.end(), reported.begin(), reported.end());
    }
  std::stable_sort(ranks.begin(), ranks.end(), [](const RankResult& a, const RankResult& b) { return a.rank < b.rank; });
  return ranks;
}

/// A node that the state calls unreachable, and whose part of the gang isn't known to be gone.
bool is_cut_off(const GangView& view, const State& state, std::size_t index) {
  const auto node = state.nodes.find(view.node(index));
  return node != state.nodes.end() && node->second.state == NodeState::unreachable && !is_gone(view.sights[index]);
}

/// The same of a job on one node. It may well be working there; only if it was to be stopped when it is cut off for so long, that ends. The
/// silence counted there began before the node was called unreachable here.
std::optional<Duration> cut_off_wait_alone(const GangView& view, const State& state, std::size_t index, Time now) {
  const GangReport* report = view.report(index);
  if (view.job.spec.stop_when_cut_off_ms.ms <= 0 || !report || report->self_stop_ms.ms <= 0) return std::nullopt;
  const Duration rest = state.nodes.at(view.node(index)).since_ms + report->self_stop_ms - now;
  return std::max(rest, Duration{}) + stop_grace(state.cluster.timeouts, view.job, view.attempt, view.key.gang) + state.cluster.timeouts.self_stop_margin_ms;
}

/// How long ranks that nobody can reach may live on once all others of their gang are gone; nullopt: nobody can say. Strict waits for what the
/// supervisor there has promised, and a margin for clocks and for ranks that take their time to die.
std::optional<Duration> cut_off_wait(const GangView& view, const State& state, std::size_t index, Time now) {
  if (view.attempt.allocation.size() < 2) return cut_off_wait_alone(view, state, index, now);
  switch (view.job.spec.on_node_loss) {
    case NodeLossRule::wait: return std::nullopt;
    case NodeLossRule::fast: return Duration{0};
    case NodeLossRule::strict: break;
  }
  const GangReport* report = view.report(index);
  if (!report || report->self_stop_ms.ms <= 0) return std::nullopt;
  // One that heard the stop before the line was cut takes its grace.
  return std::max(report->self_stop_ms, stop_grace(state.cluster.timeouts, view.job, view.attempt, view.key.gang)) + state.cluster.timeouts.self_stop_margin_ms;
}

/// When a gang that runs counts as failed because of a node that can't be reached: not while its ranks get further, for
/// then they all live; and not when all of its nodes were away until just now, for the others may come back as well,
/// and of what is done meanwhile there is no word yet.
struct NodeLoss {
  Time at;
  std::size_t node;
};
std::optional<NodeLoss> node_loss(const GangView& view, const State& state, const Liveness& liveness, Time now) {
  if (!view.has_started() || view.is_stopping) return std::nullopt;
  if (view.attempt.allocation.size() < 2) {
    if (!is_cut_off(view, state, 0) || !cut_off_wait(view, state, 0, now)) return std::nullopt;
    return NodeLoss{state.nodes.at(view.node(0)).since_ms + view.report(0)->self_stop_ms, 0};
  }
  std::optional<NodeLoss> loss;
  std::optional<Time> somebody_there_since;
  for (const NodeAllocation& part : view.attempt.allocation) {
    const auto node = state.nodes.find(part.node);
    if (node == state.nodes.end() || node->second.state == NodeState::unreachable) continue;
    somebody_there_since = std::min(somebody_there_since.value_or(node->second.since_ms), node->second.since_ms);
  }
  if (!somebody_there_since) return std::nullopt;  // the network of the scheduler is gone, not the nodes
  for (std::size_t index = 0; index < view.sights.size() && !loss; ++index) {
    if (!is_cut_off(view, state, index) || !cut_off_wait(view, state, index, now)) continue;
    loss = NodeLoss{std::max(state.nodes.at(view.node(index)).since_ms,
                             *somebody_there_since + state.cluster.timeouts.unreachable_ms),
                    index};
  }
  const auto found = liveness.gangs.find(view.key);
  if (loss && found != liveness.gangs.end() && found->second.progress && found->second.progress->advanced_ms != Time{})
    loss->at = std::max(loss->at, std::max(found->second.progress->advanced_ms, *somebody_there_since) +
                                      std::max(state.cluster.timeouts.unreachable_ms, state.cluster.timeouts.progress_patience_ms));
  return loss;
}

std::optional<GangFailed> lost_contact(const GangView& view, const State& state, const Liveness& liveness, Time now) {
  const auto loss = node_loss(view, state, liveness, now);
  if (!loss || now < loss->at) return std::nullopt;
  Failure failure{.node = view.node(loss->node), .node_at_fault = true, .at_ms = now};
  failure.detail = view.attempt.allocation.size() < 2 ? "node " + failure.node + " can't be reached, and the job was to stop there by now"
                                                      : "node " + failure.node + " can't be reached, and the ranks get no further without it";
  return gang_failed(view, Outcome::node_lost, std::move(failure));
}

/// Of a gang that is being stopped, when nothing is left of it but on nodes that can't be reached.
std::optional<GangCutOff> cut_off(const GangView& view, const State& state, Time now) {
  GangCutOff event{view.key.job, view.key.attempt, view.key.gang, {}, {}, by_the_scheduler};
  for (std::size_t index = 0; index < view.sights.size(); ++index) {
    if (is_gone(view.sights[index])) continue;
    const auto wait = cut_off_wait(view, state, index, now);
    if (!wait || !is_cut_off(view, state, index)) return std::nullopt;
    event.nodes.push_back(view.node(index));
    event.wait_ms = std::max(event.wait_ms, *wait);
  }
  return event.nodes.empty() ? std::nullopt : std::optional(std::move(event));
}

/// When a gang that was cut off is over by itself; nullopt: it wasn't, or a node is back and is asked. The wait stands in the state, because a
/// scheduler that was restarted since doesn't know any more what was promised.
std::optional<Time> self_stopped_at(const GangView& view, const State& state) {
  if (!view.is_stopping || !view.record || !view.record->cut_off_until_ms) return std::nullopt;
  for (std::size_t index = 0; index < view.sights.size(); ++index)
    if (!is_gone(view.sights[index]) && !is_cut_off(view, state, index)) return std::nullopt;
  return view.record->cut_off_until_ms;
}

/// Its ranks ran everywhere, although it was to stop before anybody heard of it: a node that finishes what it only prepared has no ranks to tell of.
bool has_run_unheard(const GangView& view) {
  if (!view.is_stopping || view.has_started()) return false;
  for (std::size_t index = 0; index < view.sights.size(); ++index)
    if (const GangReport* report = view.report(index); view.sights[index] != Sight::finished || report->ranks.empty()) return false;
  return true;
}

/// What is due of one gang. One step at a time: the next question sees the state that this answer leads to. Returns whether nothing of the
/// gang is left.
bool add_due(const GangView& view, const State& state, const Liveness& liveness, Time now, std::vector<Event>& events) {
  const auto& [job, attempt, gang] = view.key;
  if (!view.is_stopping) {
    auto failure = reported_failure(view, liveness);
    if (!failure) failure = lost_node(view, state, now);
    if (!failure) failure = late_launch(view, state.cluster.timeouts.launch_ms, now);
    if (!failure) failure = lost_contact(view, state, liveness, now);
    if (failure) {
      events.push_back(std::move(*failure));
      return false;
    }
    if (!view.has_started() && view.all(has_run)) {
      events.push_back(GangStarted{job, attempt, gang, by_the_scheduler});
      return false;
    }
    if (view.has_started() && view.liveness && view.all([](Sight s) { return s == Sight::running || s == Sight::finished; }) &&
        view.any([](Sight s) { return s == Sight::running; })) {
      if (auto due = due_of_stillness(state, view.job, *view.record, view.allocation, *view.liveness, now)) {
        events.push_back(std::move(*due));
        return false;
      }
    }
  }
  if (auto cause = corrected_failure(view, liveness)) {
    events.push_back(std::move(*cause));
    return false;
  }
  if (has_run_unheard(view)) {
    events.push_back(GangStarted{job, attempt, gang, by_the_scheduler});
    return false;
  }
  if (!view.all(is_gone)) {
    const auto self_stopped = self_stopped_at(view, state);
    if (!self_stopped && view.is_stopping && !(view.record && view.record->cut_off_until_ms))
      if (auto event = cut_off(view, state, now)) events.push_back(std::move(*event));
    if (!self_stopped || now < *self_stopped) return false;
  }
  events.push_back(GangFinished{job, attempt, gang, final_outcome(view), rank_results(view), by_the_scheduler});
  return true;
}

/// What is due of an open attempt: of each of its gangs, and its end once the last one has finished. Its outcome is that of gang 1.
void add_due(const Job& job, const State& state, const Liveness& liveness, Time now, std::vector<Event>& events) {
  const Attempt& attempt = job.attempts.back();
  bool all_finished = true;
  Outcome outcome = Outcome::succeeded;
  for (const std::int64_t number : gangs_of(attempt)) {
    const Gang* gang = find_gang(attempt, number);
    const bool had_finished = gang && gang->finished_ms;
    const bool finished = had_finished || add_due(look(job, number, state, liveness), state, liveness, now, events);
    all_finished = all_finished && finished;
    if (number == 1 && finished) outcome = had_finished ? *gang->outcome : std::get<GangFinished>(events.back()).outcome;
  }
  if (all_finished) events.push_back(AttemptEnded{job.job, attempt.attempt, outcome, by_the_scheduler});
}

/// Since when a node has been silent; nullopt: its silence can't be measured.
std::optional<Time> last_heard(const Liveness& liveness, const std::string& node) {
  const auto found = liveness.nodes.find(node);
  return found == liveness.nodes.end() ? liveness.started_ms : std::optional<Time>(found->second.last_heard_ms);
}

}  // namespace

std::set<JobId> active_jobs(const State& state) {
  std::set<JobId> active;
  for (const auto& [id, job] : state.jobs)
    if (is_active(job.state)) active.insert(active.end(), id);
  return active;
}

std::vector<Event> due_events(const State& state, const Liveness& liveness, Time now) { return due_events(state, active_jobs(state), liveness, now); }

std::vector<Event> due_events(const State& state, const std::set<JobId>& active, const Liveness& liveness, Time now) {
  std::vector<Event> events;
  const TimeoutsConfig& timeouts = state.cluster.timeouts;
  for (const auto& [name, node] : state.nodes) {
    const auto heard = last_heard(liveness, name);
    if (!heard) continue;
    if ((node.state == NodeState::up || node.state == NodeState::draining || node.state == NodeState::drained) && now - *heard >= timeouts.suspect_ms) events.push_back(NodeSuspected{name, by_the_scheduler});
    if ((node.state == NodeState::up || node.state == NodeState::suspect) && now - *heard >= timeouts.unreachable_ms)
      events.push_back(NodeUnreachable{name, by_the_scheduler});
  }
  for (const JobId id : active) add_due(state.jobs.at(id), state, liveness, now, events);
  for (const auto& [name, reservation] : state.reservations)
    if (reservation.end_ms <= now) events.push_back(ReservationEnded{name, by_the_scheduler});
  return events;
}

std::optional<Time> next_due(const State& state, const Liveness& liveness, Time now) { return next_due(state, active_jobs(state), liveness, now); }

std::optional<Time> next_due(const State& state, const std::set<JobId>& active, const Liveness& liveness, Time now) {
  std::optional<Time> earliest;
  const auto consider = [&](Time time) {
    if (!earliest || time < *earliest) earliest = time;
  };
  const TimeoutsConfig& timeouts = state.cluster.timeouts;
  for (const auto& [name, node] : state.nodes) {
    const auto heard = last_heard(liveness, name);
    if (heard && (node.state == NodeState::up || node.state == NodeState::draining || node.state == NodeState::drained)) consider(*heard + timeouts.suspect_ms);
    if (heard && node.state == NodeState::suspect) consider(*heard + timeouts.unreachable_ms);
  }
  for (const JobId id : active) {
    const Job& job = state.jobs.at(id);
    const Attempt* attempt = open_attempt(job);
    for (const std::int64_t number : gangs_of(*attempt)) {
      const Gang* gang = find_gang(*attempt, number);
      if (gang && gang->finished_ms) continue;
      const GangView view = look(job, number, state, liveness);
      if (const auto loss = node_loss(view, state, liveness, now)) consider(loss->at);
      if (const auto end = self_stopped_at(view, state)) consider(*end);
      if (const auto limit = launch_limit(view, state.cluster.timeouts.launch_ms)) consider(limit->at);
    }
  }
  for (const auto& [name, reservation] : state.reservations) consider(reservation.end_ms);
  return earliest;
}

const TrainingProgress* newest_progress(const Liveness& liveness, const Job& job) {
  if (job.attempts.empty()) return nullptr;
  const std::int64_t attempt = job.attempts.back().attempt;
  const TrainingProgress* newest = nullptr;
  for (auto gang = liveness.gangs.lower_bound({job.job, attempt, 0}); gang != liveness.gangs.end(); ++gang) {
    if (gang->first.job != job.job || gang->first.attempt != attempt) break;
    if (gang->second.progress) newest = &*gang->second.progress;
  }
  return newest;
}

LaunchStep launch_step(const State& state, const Liveness& liveness, const GangKey& key, const std::string& node) {
  if (!is_open_gang(state, key)) {
    const auto gang = liveness.gangs.find(key);
    if (gang == liveness.gangs.end()) return LaunchStep::nothing;  // its report follows, and with it the answer
    const auto report = gang->second.nodes.find(node);
    if (report == gang->second.nodes.end()) return LaunchStep::nothing;
    return report->second.phase == GangPhase::finished ? LaunchStep::forget : LaunchStep::stop;
  }
  const Job& job = state.jobs.at(key.job);
  const GangView view = look(job, key.gang, state, liveness);
  std::size_t index = 0;
  while (index < view.sights.size() && view.node(index) != node) ++index;
  if (index == view.sights.size()) return LaunchStep::nothing;
  const Sight sight = view.sights[index];

  // A node that is stopping its part needs no second word, but when it only waits for a checkpoint that has been saved meanwhile, maybe elsewhere;
  // one that can't be heard is told when it is back.
  if (view.is_stopping && sight == Sight::stopping && checkpoint_signal(job) != 0 && has_saved_since_asked(job)) return LaunchStep::terminate;
  if (view.is_stopping) return is_gone(sight) || sight == Sight::stopping ? LaunchStep::nothing : LaunchStep::stop;
  if (view.has_started() || job.state == JobState::unknown) return LaunchStep::nothing;
  // A node that knows the gang but has not reported it yet will do so without being asked.
  if (sight == Sight::unheard) {
    const auto found = liveness.nodes.find(node);
    const bool knows = found != liveness.nodes.end() &&
                       std::find(found->second.known_gangs.begin(), found->second.known_gangs.end(), key) != found->second.known_gangs.end();
    return knows ? LaunchStep::nothing : LaunchStep::prepare;
  }
  const bool all_ready = view.all([](Sight s) { return s == Sight::prepared || has_run(s); });
  const bool nobody_failed = !reported_failure(view, liveness);
  return sight == Sight::prepared && all_ready && nobody_failed ? LaunchStep::start : LaunchStep::nothing;
}

}  // namespace ultramarine::core
