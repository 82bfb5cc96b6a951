// See planner.h. Order of work: what runs is entered, then each queued job in turn takes its place.
#include "scheduler/core/planner.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <utility>

#include "scheduler/core/array_slots.h"
#include "scheduler/core/calendar.h"
#include "scheduler/core/dependencies.h"
#include "scheduler/core/dependent_order.h"
#include "scheduler/core/ensure.h"
#include "scheduler/core/lifecycle.h"
#include "scheduler/core/limits.h"
#include "scheduler/core/order.h"
#include "scheduler/core/policy/policies.h"
#include "scheduler/core/priority.h"
#include "scheduler/core/promise.h"
#include "scheduler/core/prospects.h"
#include "scheduler/core/reasons.h"
#include "scheduler/core/rooms.h"
#include "scheduler/core/roster.h"
#include "scheduler/core/shape.h"
#include "scheduler/core/timeline.h"
#include "scheduler/core/trials.h"

namespace ultramarine::core {
namespace {

class Planner {
 public:
  Planner(const State& state, Roster& roster, Time now)
      : state_(state), now_(now), roster_(roster), policies_(roster.policies()), nodes_(roster.nodes()), queued_(roster.queued()), bounds_(roster.classes()),
        rooms_(roster.sizes()), limits_(state, now), trials_(state, roster, now) {}

  Plan plan() {
    dependent_ = roster_.dependent();
    lines_.resize(queued_.size() + dependent_.size());
    run(policies_.backfill->plans_everybody());
    if (wants_lines()) plan_dependent();
    count_overtaken();
    Plan plan{now_, std::move(lines_)};
    std::vector<const Job*> held;
    for (const auto& [id, job] : roster_.jobs_held()) held.push_back(job);
    for (const Job* job : in_order(state_, std::move(held), policies_, now_)) {
      Candidate waits = roster_.candidate(*job);
      waits.position = plan.jobs.size();
      plan.jobs.push_back(reasons_.first_line(waits));
      plan.jobs.back().reason.code = ReasonCode::held;
    }
    return plan;
  }

  Choices choose() {
    choices_.impossible = roster_.impossible(now_);
    // Where order is kept the present says who starts, unless somebody goes at a pace of his own.
    const bool order_decides =
        policies_.backfill->keeps_order() && limits_.empty() && state_.reservations.empty() && !roster_.has_own_paces() && !roster_.has_trials();
    if (trials_.are_left()) {
      planned_.resize(queued_.size());
      dependent_ = roster_.dependent();
    }
    run(policies_.backfill->plans_everybody() && !order_decides);
    count_overtaken();
    if (timeline_ && rooms_.free() > 0 && trials_.are_possible(*timeline_)) give_trials();
    return std::move(choices_);
  }

  /// `variants` in the order of their places.
  std::vector<std::optional<Time>> probe(JobId probed, std::vector<Candidate>& variants) {
    timeline_.emplace(roster_.sizes(), now_);
    for (const Candidate& running : roster_.running()) enter_running(*running.job, running.position);
    order_ = &queued_;
    std::vector<std::optional<Time>> starts;
    // Of `next`, or of all, at that position of the queue.
    const auto probe_those_ahead = [&](const Candidate* next, std::size_t position) {
      for (; starts.size() < variants.size() && (!next || comes_first(variants[starts.size()], *next)); starts.push_back(start_of(variants[starts.size()])))
        variants[starts.size()].position = position;
    };
    for (next_ = 0; next_ < queued_.size() && starts.size() < variants.size(); ++next_) {
      const Candidate& waits = queued_[next_];
      if (waits.job->job == probed && !roster_.is_ordered_by_key()) probe_those_ahead(nullptr, waits.position);
      if (waits.job->job == probed) continue;
      if (roster_.is_ordered_by_key()) probe_those_ahead(&waits, waits.position);
      PlannedJob unused;
      if (!is_hindered(waits, unused)) plan_in_calendar(waits, unused, now_);
    }
    probe_those_ahead(nullptr, queued_.size());
    return starts;
  }

 private:
  /// When it would start if its turn were now; it takes nothing.
  std::optional<Time> start_of(const Candidate& waits) {
    PlannedJob unused;
    if (is_hindered(waits, unused, false)) return std::nullopt;
    const std::optional<ArraySlots::Slot> slot = array_slots_.next(*waits.job);
    LimitCalendar::Room room = limits_.earliest(*waits.job, waits.gpus, allowed_from(*waits.job, now_, slot), waits.stay);
    const std::optional<Fit> fit = earliest_place(waits, room);
    if (!fit || (waits.job->spec.deadline_ms && fit->start + waits.job->spec.time_limit_ms > *waits.job->spec.deadline_ms)) return std::nullopt;
    return fit->start;
  }

  /// Elements of one array depend on the same.
  const DependencyView& dependencies_of(const Job& job) {
    const auto [view, is_new] = dependencies_.try_emplace(job.array ? job.array->array : job.job);
    if (is_new) view->second = look_at_dependencies(state_, job.spec.dependencies);
    return view->second;
  }

  // ---- the loop

  /// `looks_ahead`: in the calendar; else at the present alone.
  void run(bool looks_ahead) {
    if (policies_.preemption->ranks_running()) return run_ranking();
    if (looks_ahead) timeline_.emplace(roster_.sizes(), now_);
    for (const Candidate& running : roster_.running()) enter_running(*running.job, running.position);
    if (looks_ahead && !wants_lines() && rooms_.free() > 0) {
      prospects_.emplace(queued_, roster_.kinds());
      longest_now_ = timeline_->longest_from_now();
      defers_ = limits_.empty() && state_.reservations.empty() && !roster_.looks_beyond_devices() && !policies_.backfill->keeps_order();
    }
    order_ = &queued_;
    for (next_ = 0; next_ < order_->size() && (wants_lines() || !nobody_else_can_start()); ++next_) {
      const Candidate& waits = (*order_)[next_];
      PlannedJob line = wants_lines() ? reasons_.first_line(waits) : PlannedJob{};
      if (!is_hindered(waits, line)) {
        if (!looks_ahead) start_or_wait(waits, line);
        else if (defers_) plan_or_defer(waits, line);
        else plan_in_calendar(waits, line, soonest(waits));
      }
      if (wants_lines()) lines_[waits.position] = std::move(line);
    }
  }

  bool wants_lines() const { return !lines_.empty(); }

  /// Of those from the next one on.
  bool nobody_else_can_start() {
    if (rooms_.free() == 0 || (first_waiting_ && policies_.backfill->keeps_order())) return true;
    if (!prospects_) return false;
    const bool has_less = next_ > 0 && timeline_->has_less_now();
    if (has_less) longest_now_ = timeline_->longest_from_now();
    return !prospects_->are_left(next_, *timeline_, now_, has_less);
  }

  /// When nothing but itself keeps it: now, or when its trial is over.
  Time soonest(const Candidate& waits) const { return is_in_trial(*waits.job) ? assumed_end(*waits.job, state_.policy, now_) : now_; }

  /// `ahead_of`: the position in the queue from which on the jobs are behind this one.
  void enter_running(const Job& job, std::size_t ahead_of) {
    const Time end = assumed_end(job, state_.policy, now_);
    array_slots_.take(job, end);
    limits_.take(job, gpus_of(job.attempts.back().allocation), job.attempts.back().decided_ms, end);
    // Who has not started by the latest normal time is expected to any moment.
    if (!dependent_.empty() && !job.attempts.back().trial_ms) spans_[job.job] = {std::max(job.attempts.back().decided_ms, now_ + seconds(1) - state_.policy.launch_allowance_ms), end};
    const Stay stay = stay_of(job.job, job.attempts.back().decided_ms, end, needs_of(job.spec));
    for (const NodeAllocation& on_node : job.attempts.back().allocation) {
      const auto index = roster_.index_of(on_node.node);
      if (!index) continue;  // the node gives nothing to new jobs anyway
      for (const std::int64_t device : on_node.devices) {
        if (device >= nodes_[*index]->gpus) continue;  // taken out of the configuration since
        if (timeline_) timeline_->hold(*index, device, stay, ahead_of);
        rooms_.hold(*index, device, stay, ahead_of);
        held_.push_back({end, *index, device, stay});
      }
    }
  }

  /// It can have no place for a reason that lies in itself. `takes_its_turn`: it is no mere question.
  bool is_hindered(const Candidate& waits, PlannedJob& line, bool takes_its_turn = true) {
    if (!waits.is_possible) {
      line.reason.code = ReasonCode::never_fits;
      return true;
    }
    if (misses_deadline(*waits.job, now_)) {
      wait_for_deadline(waits, line.reason);
      return true;
    }
    const bool fits_at_all = fits(waits.shape, waits.view->devices);
    const std::string& reservation = waits.job->spec.reservation;
    if (!reservation.empty() && (!waits.own || !fits_at_all)) {
      line.reason.code = ReasonCode::reservation;
      line.reason.reservation = reservation;
      return true;
    }
    if (auto exceeded = limits_.exceeded(*waits.job, waits.gpus, waits.stay)) {
      line.reason.code = ReasonCode::limit;
      line.reason.limit = std::move(exceeded);
      return true;
    }
    if (fits_at_all) return false;
    line.reason.code = ReasonCode::nodes_missing;
    if (takes_its_turn) waits_its_turn(waits);
    return true;
  }

  /// Those behind it that start now go ahead of it.
  void waits_its_turn(const Candidate& waits) { waiting_.push_back(waits.position); }

  // ---- in the calendar

  /// When only starts are asked for. What is free now ends somewhere on every device, and a stay that is longer, or that can't end by then, takes
  /// nothing of it, wherever it will be. Such a job needs no place before another might come between it and those that start now, or is compared with
  /// it; who starts now takes nothing from it either.
  void plan_or_defer(const Candidate& waits, PlannedJob& line) {
    if (is_out_of_patience(waits)) return plan_in_calendar(waits, line, soonest(waits));
    if (waits.stay > longest_now_) return deferred_.push_back(&waits);
    if (is_in_trial(*waits.job)) {
      plan_deferred();
    } else if (!deferred_.empty()) {
      KnownBounds& bounds = bounds_[waits.view->number];
      PlaceRequest request = request_of(waits, bounds.not_before(waits.shape, waits.stay, now_));
      if (is_beyond_now(request.from, waits.stay)) return deferred_.push_back(&waits);
      request.is_bound = true;
      const std::optional<Fit> fit = timeline_->earliest_fit(request, *policies_.placement);  // no later than its place
      ensure(fit.has_value(), "a shape that the free cluster holds fits at some time");
      bounds.learn(waits.shape, waits.stay, fit->start);
      if (is_beyond_now(fit->start, waits.stay)) return deferred_.push_back(&waits);
      // Nodes are compared by what jobs ahead leave of them, also where somebody behind is still running.
      if (fit->start > now_ || !timeline_->is_certain(request, *fit, *policies_.placement)) plan_deferred();
    }
    plan_in_calendar(waits, line, soonest(waits));
  }

  /// Of a stay that doesn't begin before `start`: whether it takes nothing of what is free now.
  bool is_beyond_now(Time start, Duration stay) const { return start > now_ && start + stay > now_ + longest_now_; }

  void plan_deferred() {
    for (const Candidate* waits : std::exchange(deferred_, {})) {
      PlannedJob unused;
      plan_in_calendar(*waits, unused, soonest(*waits));
    }
  }

  /// What neither devices nor limits decide.
  Time allowed_from(const Job& job, Time from, const std::optional<ArraySlots::Slot>& slot) const {
    return std::max({from, not_before(job).value_or(from), policies_.backfill->keeps_order() ? latest_start_ : now_, slot ? slot->at : now_});
  }

  /// The earliest place from `room` on that devices and limits have; `room` becomes what the limits said last. nullopt: what is left of its
  /// reservation is too little.
  std::optional<Fit> earliest_place(const Candidate& waits, LimitCalendar::Room& room) {
    KnownBounds& bounds = bounds_[waits.view->number];
    while (true) {  // until devices and limits agree; each step passes over no time at which both had room
      PlaceRequest request = request_of(waits, bounds.not_before(waits.shape, waits.stay, room.at));
      request.is_bound = room.at == now_ || request.from > room.at;
      std::optional<Fit> fit = timeline_->earliest_fit(request, *policies_.placement);
      ensure(fit.has_value() || waits.own, "a shape that the free cluster holds fits at some time");
      if (!fit) return std::nullopt;
      if (room.at == now_) bounds.learn(waits.shape, waits.stay, fit->start);
      if (fit->start == room.at) return fit;
      room = limits_.earliest(*waits.job, waits.gpus, fit->start, waits.stay);
      if (room.at == fit->start) return fit;
    }
  }

  /// Takes the earliest place from `from` on.
  void plan_in_calendar(const Candidate& waits, PlannedJob& line, Time from) {
    const Job& job = *waits.job;
    const JobSpec& spec = job.spec;
    const std::optional<ArraySlots::Slot> slot = is_in_trial(job) ? std::nullopt : array_slots_.next(job);  // who has one already gives it to himself
    const Time allowed = allowed_from(job, from, slot);
    LimitCalendar::Room room = limits_.earliest(job, waits.gpus, allowed, waits.stay);
    const std::optional<LimitReached> limit_now = room.limit;
    const std::optional<Fit> fit = earliest_place(waits, room);
    if (!fit) {  // what is left of its reservation is too little
      line.reason.code = ReasonCode::reservation;
      line.reason.reservation = spec.reservation;
      return;
    }
    if (spec.deadline_ms && fit->start + spec.time_limit_ms > *spec.deadline_ms) return wait_for_deadline(waits, line.reason);  // it would be rejected first
    if (fit->start > now_) room = limits_.earliest(job, waits.gpus, fit->start - milliseconds(1), waits.stay);  // what holds it back until then
    array_slots_.take(job, fit->start + waits.stay);
    limits_.take(job, gpus_of(*fit), fit->start, fit->start + waits.stay);
    if (!dependent_.empty()) spans_[job.job] = {fit->start, fit->start + waits.stay};
    if (waits.position < planned_.size()) planned_[waits.position] = fit->start;
    line.start_ms = fit->start;
    line.end_ms = fit->start + spec.time_limit_ms;
    if (slot) line.reason.code = ReasonCode::array_limit;
    else explain(waits, fit->start == now_, line.reason);
    auto waits_for = enter(*fit, waits);
    if (wants_lines()) line.allocation = in_names(*fit);
    if (slot) {
      line.reason.waits_for = {slot->ends};
      return;
    }
    if (fit->start == now_) {
      start(waits, *fit);
      return;
    }
    if (wants_lines()) {
      line.reason.waits_for = first_of(std::move(waits_for), fit->start);
      // Where order is kept a job may wait for the order alone: then it waits for what the job ahead of it waits for.
      if (line.reason.waits_for.empty() && policies_.backfill->keeps_order()) line.reason.waits_for = waits_of_latest_;
    }
    if (room.limit) {
      line.reason.code = ReasonCode::limit;
      line.reason.limit = room.limit;
      line.reason.waits_for = room.ends;
    } else if (!reasons_.waits_for_date(waits, line.reason)) {
      if (limit_now && line.reason.code == ReasonCode::priority) {
        line.reason.code = ReasonCode::limit;
        line.reason.limit = limit_now;
      } else {
        say_if_borrower(waits, line.reason);
      }
    }
    // Who goes at the pace of an array, a limit or a date holds nobody up by its turn in the order.
    if (ArraySlots::is_limited(job) || room.limit || fit->start == not_before(job) || (waits.own && fit->start == waits.own->start_ms)) return;
    if (is_out_of_patience(waits)) keep_clear(*fit);
    waits_its_turn(waits);
    if (fit->start >= latest_start_) {
      latest_start_ = fit->start;
      waits_of_latest_ = line.reason.waits_for;
    }
  }

  /// Enters the job's stay into the calendar. Returns the stays that are the last before it on its devices.
  std::vector<std::pair<Time, JobId>> enter(const Fit& fit, const Candidate& waits) {
    std::vector<std::pair<Time, JobId>> waits_for;
    const Stay stay = stay_of(waits.job->job, fit.start, fit.start + waits.stay, needs_of(waits.job->spec));
    for (const Fit::OnNode& on_node : fit.nodes)
      for (const std::int64_t device : on_node.devices)
        if (const auto previous = timeline_->add(on_node.node, device, stay); previous && previous->second != stay.job) waits_for.push_back(*previous);
    return waits_for;
  }

  /// The first that has to wait for its turn, when it has waited for the policy's patience.
  bool is_out_of_patience(const Candidate& waits) const {
    const Duration patience = state_.policy.patience_ms;
    return patience.ms > 0 && waiting_.empty() && deferred_.empty() && waits_since(*waits.job) + patience <= now_;
  }

  /// Whoever starts behind on what it waits for is gone after the patience: limits are mostly longer than jobs, so its start comes earlier than
  /// planned when those that run end early, unless a long one came between.
  void keep_clear(const Fit& fit) {
    for (const Fit::OnNode& on_node : fit.nodes)
      for (const std::int64_t device : on_node.devices) timeline_->keep_clear(on_node.node, device, now_ + state_.policy.patience_ms, fit.start);
  }

  // ---- jobs that wait for others

  /// They come behind all that don't, in the order in which their time is to be expected: so they delay nobody, and take what is left when their
  /// time has come. Those of which nobody knows when that will be are last.
  void plan_dependent() {
    std::size_t position = queued_.size();
    std::vector<bool> is_planned(dependent_.size());
    if (policies_.backfill->plans_everybody()) {
      DependentOrder order(state_, dependent_, spans_);
      while (const auto next = order.next()) {
        const auto& [place, expected] = *next;
        is_planned[place] = true;
        const PlannedJob line = dependent_line(dependent_[place], position, expected);
        if (wants_lines()) lines_[position] = line;
        ++position;
        if (line.start_ms) order.know(line.job);
      }
    }
    for (std::size_t place = 0; wants_lines() && place < dependent_.size(); ++place) {
      if (is_planned[place]) continue;
      lines_[position] = dependent_line(dependent_[place], position, std::nullopt);
      ++position;
    }
  }

  PlannedJob dependent_line(Candidate& waits, std::size_t position, std::optional<Time> expected) {
    waits.position = position;
    PlannedJob line = reasons_.first_line(waits);
    Reason reason = line.reason;
    const DependencyView& dependencies = dependencies_of(*waits.job);
    reason.code = dependencies.coming == Coming::never ? ReasonCode::dependency_never : ReasonCode::dependency;
    reason.waits_for = dependencies.jobs;
    const bool is_hopeless = !waits.is_possible || misses_deadline(*waits.job, now_);
    if (!is_hindered(waits, line) && expected) plan_in_calendar(waits, line, *expected);
    if (!is_hopeless) line.reason = std::move(reason);
    return line;
  }

  /// When only starts are asked for, and all of those are chosen: everybody gets his place, and new jobs that wait their first minutes in what is left.
  void give_trials() {
    plan_deferred();
    for (; next_ < queued_.size(); ++next_) {
      PlannedJob unused;
      if (!is_hindered(queued_[next_], unused)) plan_in_calendar(queued_[next_], unused, soonest(queued_[next_]));
    }
    plan_dependent();
    for (StartJob& trial : trials_.choose(*timeline_, limits_, planned_)) choices_.starts.push_back(std::move(trial));
  }

  // ---- at the present alone

  void start_or_wait(const Candidate& waits, PlannedJob& line) {
    const Job& job = *waits.job;
    if (const auto slot = array_slots_.next(job)) {
      line.reason.code = ReasonCode::array_limit;
      line.reason.waits_for = {slot->ends};
      return;
    }
    if (reasons_.waits_for_date(waits, line.reason)) return;
    if (LimitCalendar::Room room = limits_.earliest(job, waits.gpus, now_, waits.stay); room.limit) {
      line.reason.code = ReasonCode::limit;
      line.reason.limit = std::move(room.limit);
      line.reason.waits_for = std::move(room.ends);
      return;
    }
    const bool may_start = !first_waiting_ || !policies_.backfill->keeps_order();
    std::optional<Fit> fit;
    if (may_start && total_gpus(job.spec.resources) <= rooms_.free()) fit = rooms_.fit(request_of(waits, now_), *policies_.placement);
    if (fit && promise_ && !promise_->is_kept_by(waits, *fit)) fit.reset();
    explain(waits, fit.has_value(), line.reason);
    if (!fit) say_if_borrower(waits, line.reason);
    if (fit) {
      array_slots_.take(job, now_ + waits.stay);
      limits_.take(job, gpus_of(*fit), now_, now_ + waits.stay);
      line.start_ms = now_;
      line.end_ms = now_ + job.spec.time_limit_ms;
      if (wants_lines()) line.allocation = in_names(*fit);
      start(waits, *fit);
      return;
    }
    if (ArraySlots::is_limited(job)) return;
    waits_its_turn(waits);
    if (first_waiting_) return;
    first_waiting_ = true;
    if (policies_.backfill->promises_first())
      if (auto promise = Promise::to(waits, now_, held_, rooms_, limits_)) promise_.emplace(std::move(*promise));
    if (policies_.backfill->tries_shortest_first()) try_shortest_first();
  }

  void try_shortest_first() {
    by_length_.assign(order_->begin() + static_cast<std::ptrdiff_t>(next_) + 1, order_->end());
    std::stable_sort(by_length_.begin(), by_length_.end(), [](const Candidate& a, const Candidate& b) { return a.stay < b.stay; });
    order_ = &by_length_;
    next_ = static_cast<std::size_t>(-1);
  }

  /// Who is not tried any more, because nothing is free, may yet wait ahead of one that starts.
  void note_untried() {
    const std::size_t last = started_.empty() ? 0 : *std::max_element(started_.begin(), started_.end());
    for (; next_ < order_->size(); ++next_) {
      const Candidate& waits = (*order_)[next_];
      PlannedJob unused;
      if (waits.position < last && !is_hindered(waits, unused)) start_or_wait(waits, unused);
    }
  }

  // ---- what both share

  /// It starts now.
  void start(const Candidate& starts, const Fit& fit) {
    rooms_.take(fit, needs_of(starts.job->spec));
    const Stay stay = stay_of(starts.job->job, now_, now_ + starts.stay, needs_of(starts.job->spec));
    for (const Fit::OnNode& on_node : fit.nodes)
      for (const std::int64_t device : on_node.devices) held_.push_back({stay.end, on_node.node, device, stay});
    started_.push_back(starts.position);
    if (wants_lines()) return;
    choices_.starts.push_back({.job = starts.job->job, .attempt = static_cast<std::int64_t>(starts.job->attempts.size()) + 1, .allocation = in_names(fit)});
  }

  /// When all have had their turn: whoever is tried later may be ahead, and wait.
  void count_overtaken() {
    if (order_ == &by_length_ && !wants_lines()) note_untried();
    for (const Candidate* waits : deferred_) waiting_.push_back(waits->position);
    std::sort(waiting_.begin(), waiting_.end());
    for (std::size_t i = 0; i < started_.size(); ++i) {
      const auto overtaken = std::lower_bound(waiting_.begin(), waiting_.end(), started_[i]) - waiting_.begin();
      if (wants_lines()) {
        lines_[started_[i]].backfilled = overtaken > 0;
      } else {
        choices_.starts[i].overtaken = overtaken;
        choices_.starts[i].backfilled = overtaken > 0;
      }
    }
  }

  Allocation in_names(const Fit& fit) const {
    Allocation allocation;
    allocation.reserve(fit.nodes.size());
    for (const Fit::OnNode& on_node : fit.nodes) allocation.push_back({nodes_[on_node.node]->name, on_node.devices});
    return allocation;
  }

  /// Only where lines are wanted.
  void explain(const Candidate& waits, bool starts_now, Reason& reason) const {
    reason.code = ReasonCode::starting_now;
    if (!starts_now && wants_lines()) reasons_.explain(waits, reason);
  }

  // ---- when running jobs yield by order

  /// All unfinished jobs take their places on empty nodes in the policy's order. Who runs there already stays; who runs and has no place, or
  /// another one, yields first.
  void run_ranking() {
    std::vector<Candidate> ranking = queued_;
    ranking.insert(ranking.end(), roster_.running().begin(), roster_.running().end());
    // Who runs is ahead of the one that waits at its position.
    std::stable_sort(ranking.begin(), ranking.end(), [](const Candidate& a, const Candidate& b) {
      return std::pair{a.position, a.job->state == JobState::queued} < std::pair{b.position, b.job->state == JobState::queued};
    });
    Rooms empty(roster_.sizes());
    std::vector<std::pair<const Candidate*, Fit>> chosen;
    for (const Candidate& ranked : ranking) {
      PlannedJob unused;
      if (is_active(ranked.job->state) ? !ranked.view : is_hindered(ranked, unused) || array_slots_.next(*ranked.job)) continue;
      if (total_gpus(ranked.job->spec.resources) > empty.free()) continue;
      if (!is_active(ranked.job->state) && reasons_.waits_for_date(ranked, unused.reason)) continue;
      // Who runs although a limit became smaller than he is stays.
      if (!limits_.exceeded(*ranked.job, ranked.gpus, ranked.stay) && limits_.earliest(*ranked.job, ranked.gpus, now_, ranked.stay).limit) continue;
      auto fit = empty.fit(request_of(ranked, now_), *policies_.placement);
      if (!fit) continue;
      empty.take(*fit, needs_of(ranked.job->spec));
      limits_.take(*ranked.job, gpus_of(*fit), now_, now_ + ranked.stay);
      array_slots_.take(*ranked.job, now_ + ranked.stay);
      chosen.emplace_back(&ranked, std::move(*fit));
    }
    std::map<JobId, const Fit*> places;
    for (const auto& [ranked, fit] : chosen) places.emplace(ranked->job->job, &fit);
    bool in_the_way = false;
    for (const Candidate& ranked : ranking) {
      if (!is_active(ranked.job->state)) continue;
      const auto place = places.find(ranked.job->job);
      if (place != places.end() && runs_there(*ranked.job, *place->second)) {
        enter_running(*ranked.job, 0);
        continue;
      }
      in_the_way = true;
      if (ranked.job->state != JobState::stopping) choices_.yielding.push_back(ranked.job->job);
    }
    for (const auto& [ranked, fit] : chosen)
      if (ranked->job->state == JobState::queued) start_ranked(*ranked, fit, in_the_way);
    for (const Candidate& waits : queued_)
      if (wants_lines() && places.find(waits.job->job) == places.end()) {
        PlannedJob line = reasons_.first_line(waits);
        if (!is_hindered(waits, line)) explain(waits, false, line.reason);
        lines_[waits.position] = std::move(line);
      }
  }

  bool runs_there(const Job& job, const Fit& fit) const {
    const Allocation& allocation = job.attempts.back().allocation;
    return allocation.size() == fit.nodes.size() && std::equal(allocation.begin(), allocation.end(), fit.nodes.begin(), [&](const NodeAllocation& a, const Fit::OnNode& b) {
             return a.node == nodes_[b.node]->name && a.devices.size() == b.devices.size();
           });
  }

  /// Its place is counted; which devices are meant depends on who else runs there.
  void start_ranked(const Candidate& starts, Fit fit, bool in_the_way) {
    PlannedJob line = wants_lines() ? reasons_.first_line(starts) : PlannedJob{};
    if (!in_the_way) {
      for (Fit::OnNode& on_node : fit.nodes) on_node.devices = rooms_.free_devices(on_node.node, on_node.devices.size());
      line.start_ms = now_;
      line.end_ms = now_ + starts.job->spec.time_limit_ms;
      line.reason.code = ReasonCode::starting_now;
      if (wants_lines()) line.allocation = in_names(fit);
      start(starts, fit);
    }
    if (wants_lines()) lines_[starts.position] = std::move(line);
  }

  const State& state_;
  const Time now_;
  Roster& roster_;
  const policy::Policies& policies_;
  const std::vector<const NodeConfig*>& nodes_;    // up, in node order
  const std::vector<Candidate>& queued_;           // in the policy's order
  std::vector<Candidate> dependent_;               // queued too, but they wait for others: behind all that don't
  std::optional<Timeline> timeline_;               // when the loop looks ahead
  std::vector<KnownBounds> bounds_;                // by the number of the class
  bool defers_ = false;                            // jobs that take nothing of what is free now have no place so far
  std::vector<const Candidate*> deferred_;         // these, in order
  Duration longest_now_;                           // the longest stay that may begin now
  std::optional<Prospects> prospects_;             // absent: the loop goes through all
  Rooms rooms_;                                    // now, and after the starts chosen so far
  const Reasons reasons_{roster_, rooms_, now_};
  std::vector<Candidate> by_length_;
  const std::vector<Candidate>* order_ = nullptr;  // in which they are served
  std::size_t next_ = 0;                        // in that
  std::vector<Held> held_;
  ArraySlots array_slots_;
  LimitCalendar limits_;
  std::map<JobId, DependencyView> dependencies_;
  std::map<JobId, Span> spans_;                 // of what runs and is planned, if somebody waits for others
  std::vector<std::size_t> waiting_;            // positions of jobs that wait their turn
  std::vector<std::size_t> started_;            // positions of those that start now
  bool first_waiting_ = false;
  Time latest_start_ = now_;                    // of the jobs ahead
  std::vector<JobId> waits_of_latest_;
  std::optional<Promise> promise_;
  std::vector<PlannedJob> lines_;               // by position; empty: only choices are asked for
  std::vector<std::optional<Time>> planned_;    // starts by position, if somebody might get a trial
  Trials trials_;
  Choices choices_;
};

}  // namespace

Duration longest_stay(const JobSpec& spec, const PolicyConfig& policy) { return policy.launch_allowance_ms + spec.time_limit_ms + spec.stop_grace_ms; }

Time assumed_end(const Job& job, const PolicyConfig& policy, Time now) {
  const Attempt& attempt = job.attempts.back();
  const Time latest_normal_start = attempt.decided_ms + policy.launch_allowance_ms;
  const Time start = attempt.started_ms ? std::max(*attempt.started_ms, latest_normal_start) : latest_normal_start;
  return std::max(start + time_limit(job, attempt) + job.spec.stop_grace_ms, now + seconds(1));
}

const PlannedJob* line_of(const Plan& plan, JobId job) {
  const auto line = std::find_if(plan.jobs.begin(), plan.jobs.end(), [&](const PlannedJob& one) { return one.job == job; });
  return line == plan.jobs.end() ? nullptr : &*line;
}

Plan make_plan(const State& state, Roster& roster, Time now) { return Planner(state, roster, now).plan(); }

Choices choose(const State& state, Roster& roster, Time now) { return Planner(state, roster, now).choose(); }

std::vector<std::optional<Time>> probe(const State& state, Roster& roster, Time now, JobId probed, const std::vector<Job>& variants) {
  std::vector<Candidate> candidates;
  std::vector<std::size_t> order(variants.size());
  for (const Job& variant : variants) candidates.push_back(roster.candidate(variant));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return comes_first(candidates[a], candidates[b]); });
  std::vector<Candidate> sorted;
  for (const std::size_t place : order) sorted.push_back(candidates[place]);
  const auto starts = Planner(state, roster, now).probe(probed, sorted);
  std::vector<std::optional<Time>> in_their_order(variants.size());
  for (std::size_t i = 0; i < order.size(); ++i) in_their_order[order[i]] = starts[i];
  return in_their_order;
}

}  // namespace ultramarine::core
