// See liveness.h. Works on one gang at a time: what is known of each of its nodes is boiled down to one word, and the rules for
// events and commands are written in these words alone.
#include "scheduler/core/liveness.h"

#include <algorithm>

#include "scheduler/core/gangs.h"
#include "scheduler/core/lifecycle.h"

namespace ultramarine::core {
namespace {

/// How far a gang is on a node, as far as can be told.
///   unheard   it has not reported: not asked yet, the answer is under way, or the node is silent
///   lost      the node said hello without the gang that it must have had: whatever ran there is gone
///   failed    it reported a failure, and is not finished yet
enum class Sight { unheard, preparing, prepared, running, stopping, failed, finished, lost };

const Actor by_the_scheduler{.uid = -1, .name = "scheduler", .channel = "scheduler"};

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

GangView look(const Job& job, std::int64_t gang, const Liveness& liveness) {
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

/// The earliest failure that a node reported; of several at one instant the first in allocation order.
std::optional<GangFailed> reported_failure(const GangView& view) {
  std::optional<GangFailed> first;
  for (std::size_t index = 0; index < view.sights.size(); ++index) {
    const GangReport* report = view.report(index);
    if (!report || !has_failed(*report)) continue;
    Failure failure = report->failure.value_or(Failure{.detail = "the node's part of the gang ended without saying why"});
    if (failure.node.empty()) failure.node = view.node(index);
    Outcome outcome = report->outcome.value_or(Outcome::failed);
    if (outcome == Outcome::succeeded) outcome = Outcome::failed;
    if (!first || failure.at_ms < first->failure.at_ms) first = gang_failed(view, outcome, std::move(failure));
  }
  return first;
}

std::optional<GangFailed> lost_node(const GangView& view, const State& state, Time now) {
  for (std::size_t index = 0; index < view.sights.size(); ++index) {
    if (view.sights[index] != Sight::lost) continue;
    const auto node = state.nodes.find(view.node(index));
    const bool rebooted = node != state.nodes.end() && node->second.boot_seen_ms > view.wanted_since();
    Failure failure{.node = view.node(index), .at_ms = now};
    failure.detail = rebooted ? "node " + failure.node + " was restarted while the gang ran there"
                              : "the agent of node " + failure.node + " came back without the gang: its supervisor is gone";
    return gang_failed(view, rebooted ? Outcome::node_lost : Outcome::supervisor_lost, std::move(failure));
  }
  return std::nullopt;
}

/// When the launch counts as failed, and because of which node; nullopt: it is not being launched, or there is nothing to wait for.
struct LaunchLimit {
  Time at;
  std::size_t node;
};
std::optional<LaunchLimit> launch_limit(const GangView& view) {
  if (view.has_started() || view.is_stopping || !view.liveness || view.liveness->first_asked_ms == Time{}) return std::nullopt;
  const Time asked = view.liveness->first_asked_ms;
  const auto first = [&](auto predicate) { return std::find_if(view.sights.begin(), view.sights.end(), predicate) - view.sights.begin(); };
  const auto unprepared = static_cast<std::size_t>(first([](Sight s) { return s == Sight::unheard || s == Sight::preparing; }));
  if (unprepared < view.sights.size()) return LaunchLimit{asked + launch_deadline, unprepared};
  const auto not_running = static_cast<std::size_t>(first([](Sight s) { return s == Sight::prepared; }));
  if (not_running < view.sights.size()) return LaunchLimit{asked + launch_deadline + launch_deadline, not_running};
  return std::nullopt;
}

std::optional<GangFailed> late_launch(const GangView& view, Time now) {
  const auto limit = launch_limit(view);
  if (!limit || now < limit->at) return std::nullopt;
  const std::string& node = view.node(limit->node);
  const std::int64_t waited_s = (limit->at - view.liveness->first_asked_ms).ms / 1000;
  const bool prepared = view.sights[limit->node] == Sight::prepared;
  Failure failure{.node = node, .at_ms = now};
  failure.detail = "node " + node + (prepared ? " did not start its ranks within " : " did not prepare the gang within ") + std::to_string(waited_s) +
                   " s; look at the log of its agent";
  return gang_failed(view, Outcome::start_failed, std::move(failure));
}

/// Of gang 1, and so of its attempt.
Outcome outcome_of_the_job(const GangView& view) {
  switch (view.job.stop_cause) {
    case StopCause::none: return Outcome::succeeded;
    case StopCause::cancelled: return Outcome::cancelled;
    case StopCause::requeued:
    case StopCause::preempted: return Outcome::preempted;
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

/// What is due of one gang. One step at a time: the next question sees the state that this answer leads to. Returns whether nothing of the
/// gang is left.
bool add_due(const GangView& view, const State& state, Time now, std::vector<Event>& events) {
  const auto& [job, attempt, gang] = view.key;
  if (!view.is_stopping) {
    auto failure = reported_failure(view);
    if (!failure) failure = lost_node(view, state, now);
    if (!failure) failure = late_launch(view, now);
    if (failure) {
      events.push_back(std::move(*failure));
      return false;
    }
    if (!view.has_started() && view.all(has_run)) {
      events.push_back(GangStarted{job, attempt, gang, by_the_scheduler});
      return false;
    }
  }
  if (!view.all(is_gone)) return false;
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
    const bool finished = had_finished || add_due(look(job, number, liveness), state, now, events);
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
  for (const auto& [name, node] : state.nodes) {
    const auto heard = last_heard(liveness, name);
    if (!heard) continue;
    if ((node.state == NodeState::up || node.state == NodeState::draining || node.state == NodeState::drained) && now - *heard >= suspect_after) events.push_back(NodeSuspected{name, by_the_scheduler});
    if ((node.state == NodeState::up || node.state == NodeState::suspect) && now - *heard >= unreachable_after)
      events.push_back(NodeUnreachable{name, by_the_scheduler});
  }
  for (const JobId id : active) add_due(state.jobs.at(id), state, liveness, now, events);
  for (const auto& [name, reservation] : state.reservations)
    if (reservation.end_ms <= now) events.push_back(ReservationEnded{name, by_the_scheduler});
  return events;
}

std::optional<Time> next_due(const State& state, const Liveness& liveness, Time now) { return next_due(state, active_jobs(state), liveness, now); }

std::optional<Time> next_due(const State& state, const std::set<JobId>& active, const Liveness& liveness, Time) {
  std::optional<Time> earliest;
  const auto consider = [&](Time time) {
    if (!earliest || time < *earliest) earliest = time;
  };
  for (const auto& [name, node] : state.nodes) {
    const auto heard = last_heard(liveness, name);
    if (heard && (node.state == NodeState::up || node.state == NodeState::draining || node.state == NodeState::drained)) consider(*heard + suspect_after);
    if (heard && node.state == NodeState::suspect) consider(*heard + unreachable_after);
  }
  for (const JobId id : active) {
    const Job& job = state.jobs.at(id);
    const Attempt* attempt = open_attempt(job);
    for (const std::int64_t number : gangs_of(*attempt)) {
      const Gang* gang = find_gang(*attempt, number);
      if (gang && gang->finished_ms) continue;
      if (const auto limit = launch_limit(look(job, number, liveness))) consider(limit->at);
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
  const GangView view = look(job, key.gang, liveness);
  std::size_t index = 0;
  while (index < view.sights.size() && view.node(index) != node) ++index;
  if (index == view.sights.size()) return LaunchStep::nothing;
  const Sight sight = view.sights[index];

  // A node that is stopping its part needs no second word; one that can't be heard is told when it is back.
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
  const bool nobody_failed = !reported_failure(view);
  return sight == Sight::prepared && all_ready && nobody_failed ? LaunchStep::start : LaunchStep::nothing;
}

}  // namespace ultramarine::core
