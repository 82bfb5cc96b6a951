// See planner.h. Order of work: the calendar gets the stays of running attempts, then each queued job in turn takes its place.
#include "scheduler/core/planner.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "scheduler/core/array_slots.h"
#include "scheduler/core/calendar.h"
#include "scheduler/core/dependencies.h"
#include "scheduler/core/eligible.h"
#include "scheduler/core/ensure.h"
#include "scheduler/core/limits.h"
#include "scheduler/core/policy/policies.h"
#include "scheduler/core/shape.h"
#include "scheduler/core/timeline.h"

namespace ultramarine::core {
namespace {

constexpr std::size_t waits_for_max = 5;

/// What the planner keeps per class of requests.
struct ClassView {
  std::vector<std::int64_t> configured_devices;  // that each node could give it at most, whatever its state
  std::int64_t gpus_per_node_max = 0;
  std::vector<std::size_t> nodes;                // that take new gangs; indices of the timeline
  std::vector<std::int64_t> devices;             // that those could give it at most
  const std::vector<std::vector<Interval>>* closed = nullptr;  // when reservations close them
  KnownBounds bounds;
};

class Planner {
 public:
  Planner(const State& state, Time now)
      : state_(state), now_(now), policies_(policy::make_policies(state, now)), nodes_(usable_nodes()), timeline_(timeline_nodes()), closures_(state, nodes_, now),
        limits_(state, now) {
    for (const NodeConfig* node : nodes_) {
      free_now_.push_back(node->gpus);
      free_total_ += node->gpus;
    }
  }

  Plan run(PlanExtent extent) {
    Plan plan{now_, {}};
    std::vector<const Job*> queued, dependent, held;
    for (const auto& [id, job] : state_.jobs) {
      if (job.state == JobState::queued) (awaits_others(job) ? dependent : queued).push_back(&job);
      if (job.state == JobState::held) held.push_back(&job);
    }
    const auto before = [&](const Job* a, const Job* b) {
      const policy::OrderKey a_key = policies_.order->key(*a), b_key = policies_.order->key(*b);
      return a_key != b_key ? a_key < b_key : a->job < b->job;
    };
    std::sort(queued.begin(), queued.end(), before);
    std::sort(dependent.begin(), dependent.end(), before);
    std::sort(held.begin(), held.end(), before);
    keeps_spans_ = !dependent.empty();
    std::vector<RankedRunning> running;
    for (const auto& [id, job] : state_.jobs)
      if (is_active(job.state))
        running.push_back({&job, static_cast<std::size_t>(std::lower_bound(queued.begin(), queued.end(), &job, before) - queued.begin())});
    std::sort(running.begin(), running.end(), [&](const RankedRunning& a, const RankedRunning& b) { return before(a.job, b.job); });
    borrowers_ = sort_by_share(state_, queued, running);
    for (const RankedRunning& one : running) add_running(*one.job, one.behind);
    plan.jobs.reserve(queued.size() + dependent.size() + held.size());
    std::int64_t position = 0;
    for (const Job* job : queued) {
      ++position;
      // When no device is free now, a job further down can only turn out to be impossible.
      if (extent == PlanExtent::starts && free_total_ == 0 && may_run(*job)) continue;
      plan.jobs.push_back(plan_job(*job, position));
    }
    plan_dependent(dependent, extent, position, plan);
    if (extent == PlanExtent::everything) {
      for (const Job* job : held) {
        PlannedJob line = first_line(*job, ++position);
        line.reason.code = ReasonCode::held;
        plan.jobs.push_back(std::move(line));
      }
    }
    return plan;
  }

 private:
  std::vector<const NodeConfig*> usable_nodes() const {
    std::vector<const NodeConfig*> nodes;
    for (const NodeConfig& config : state_.cluster.nodes) {
      const auto node = state_.nodes.find(config.name);
      if (node != state_.nodes.end() && node->second.state == NodeState::up) nodes.push_back(&config);
    }
    std::sort(nodes.begin(), nodes.end(), [](const NodeConfig* a, const NodeConfig* b) { return comes_before(a->name, b->name); });
    return nodes;
  }

  std::vector<TimelineNode> timeline_nodes() {
    std::vector<TimelineNode> nodes;
    std::map<std::string_view, std::size_t> leaves;
    for (std::size_t index = 0; index < nodes_.size(); ++index) {
      const NodeConfig& node = *nodes_[index];
      node_index_.emplace(node.name, index);
      const std::size_t leaf = leaves.try_emplace(node.leaf, leaves.size()).first->second;
      nodes.push_back({.devices = node.gpus, .cpus = node.cpus, .memory_bytes = node.memory_bytes, .leaf = leaf});
    }
    return nodes;
  }

  /// Made when the first job of its class is met. nullptr: its partition is gone.
  ClassView* view_of(const Job& job) {
    const auto known = views_.find(job.spec);
    if (known != views_.end()) return &known->second;
    const PartitionConfig* partition = find_partition(state_.cluster, job.spec.partition);
    if (!partition) return nullptr;
    ClassView view;
    for (const auto& [node, gpus] : eligible_nodes(state_.cluster, *partition, job.spec)) {
      view.configured_devices.push_back(gpus);
      view.gpus_per_node_max = std::max(view.gpus_per_node_max, gpus);
      const auto index = node_index_.find(node->name);
      if (index == node_index_.end()) continue;
      if (!closures_.may_use(job.spec.reservation, index->second)) continue;
      view.nodes.push_back(index->second);
      view.devices.push_back(gpus);
    }
    view.closed = closures_.closed_to(job.spec.reservation);
    return &views_.emplace(RequestClass(job.spec), std::move(view)).first->second;
  }

  /// `ahead_of`: the position in the queue from which on the jobs are behind this one.
  void add_running(const Job& job, std::size_t ahead_of) {
    const Time end = assumed_end(job, now_);
    array_slots_.take(job, end);
    // Who has not started by the latest normal time is expected to any moment.
    if (keeps_spans_) spans_[job.job] = {std::max(job.attempts.back().decided_ms, now_ + seconds(1) - launch_allowance), end};
    limits_.take(job, gpus_of(job.attempts.back().allocation), job.attempts.back().decided_ms, end);
    for (const NodeAllocation& on_node : job.attempts.back().allocation) {
      const auto index = node_index_.find(on_node.node);
      if (index == node_index_.end()) continue;  // the node gives nothing to new jobs anyway
      for (const std::int64_t device : on_node.devices) {
        if (device >= nodes_[index->second]->gpus) continue;  // taken out of the configuration since
        timeline_.hold(index->second, device, {.end = end, .job = job.job}, ahead_of);
        --free_now_[index->second];
        --free_total_;
      }
    }
  }

  bool can_ever_run(const Job& job) {
    const ClassView* view = view_of(job);
    return view && fits(shape_of(job.spec.resources, view->gpus_per_node_max), view->configured_devices);
  }

  /// How many devices of its nodes[index] the class could have now.
  std::int64_t free_in(const ClassView& view, std::size_t index) const { return std::min(free_now_[view.nodes[index]], view.devices[index]); }

  PlannedJob first_line(const Job& job, std::int64_t position) {
    PlannedJob line;
    line.job = job.job;
    line.position = position;
    line.reason.gpus_asked = total_gpus(job.spec.resources);
    if (const ClassView* view = view_of(job))
      for (std::size_t index = 0; index < view->nodes.size(); ++index) line.reason.gpus_free += free_in(*view, index);
    return line;
  }

  /// It can run in some state of the cluster, and can still end by its deadline.
  bool may_run(const Job& job) { return can_ever_run(job) && !misses_deadline(job, now_); }

  /// Jobs that wait for others come behind all that don't, in the order in which their time is to be expected: so they delay nobody, and take what
  /// is left when their time has come. Those of which nobody knows when that will be are last.
  void plan_dependent(const std::vector<const Job*>& jobs, PlanExtent extent, std::int64_t& position, Plan& plan) {
    std::map<JobId, std::vector<std::size_t>> groups;  // elements of one array depend on the same
    std::map<JobId, std::vector<JobId>> awaiting;      // a job without a span -> groups that are looked at again when it has one
    std::set<std::pair<Time, std::size_t>> ready;      // when the time of jobs[n] is to be expected
    std::vector<bool> is_planned(jobs.size());
    const auto expect = [&](JobId group) {
      const auto& dependencies = jobs[groups[group].front()]->spec.dependencies;
      const Expected expected = expect_dependencies(state_, dependencies, launch_allowance, [&](JobId id) {
        const auto span = spans_.find(id);
        return span == spans_.end() ? std::nullopt : std::optional(span->second);
      });
      if (expected.unknown) awaiting[*expected.unknown].push_back(group);
      if (!expected.at) return;
      for (const std::size_t place : groups[group])
        if (may_run(*jobs[place])) ready.emplace(*expected.at, place);
    };
    if (extent == PlanExtent::everything) {
      for (std::size_t place = 0; place < jobs.size(); ++place) groups[jobs[place]->array ? jobs[place]->array->array : jobs[place]->job].push_back(place);
      for (const auto& [group, places] : groups) expect(group);
    }
    while (!ready.empty()) {
      const auto [expected, place] = *ready.begin();
      ready.erase(ready.begin());
      is_planned[place] = true;
      plan.jobs.push_back(plan_job(*jobs[place], ++position, expected));
      if (!plan.jobs.back().start_ms) continue;
      const auto known = awaiting.extract(jobs[place]->job);
      if (!known.empty())
        for (const JobId group : known.mapped()) expect(group);
    }
    for (std::size_t place = 0; place < jobs.size(); ++place) {
      if (is_planned[place]) continue;
      ++position;
      if (extent == PlanExtent::everything || !may_run(*jobs[place])) plan.jobs.push_back(plan_job(*jobs[place], position));
    }
  }

  /// `expected`: when what a job waits for is to be expected; only with that has one that waits for others a planned start.
  PlannedJob plan_job(const Job& job, std::int64_t position, std::optional<Time> expected = std::nullopt) {
    PlannedJob line = first_line(job, position);
    if (!can_ever_run(job)) {
      line.reason.code = ReasonCode::never_fits;
    } else if (misses_deadline(job, now_)) {
      line.reason.code = ReasonCode::deadline;
      line.reason.until_ms = job.spec.deadline_ms;
    } else if (!awaits_others(job)) {
      find_place(job, now_, line);
    } else {
      Reason reason = line.reason;
      const DependencyView& dependencies = dependencies_of(job);
      reason.code = dependencies.coming == Coming::never ? ReasonCode::dependency_never : ReasonCode::dependency;
      reason.waits_for = dependencies.jobs;
      if (expected) find_place(job, *expected, line);
      line.reason = std::move(reason);
    }
    return line;
  }

  /// The earliest place from `from` on that devices and limits have, and why not earlier. Without one `line` gets a reason alone.
  void find_place(const Job& job, Time from, PlannedJob& line) {
    ClassView& view = *view_of(job);
    Reason& reason = line.reason;
    const Reservation* const own = reservation_of(state_, job);
    const Shape shape = shape_of(job.spec.resources, view.gpus_per_node_max);
    if (!job.spec.reservation.empty() && (!own || !fits(shape, view.devices))) {
      reason.code = ReasonCode::reservation;
      reason.reservation = job.spec.reservation;
      return;
    }
    if (!fits(shape, view.devices)) {
      reason.code = ReasonCode::nodes_missing;
      somebody_waits_ = true;
      return;
    }
    const Duration stay = longest_stay(job.spec);
    const std::int64_t gpus = total_gpus(job.spec.resources);
    if (auto exceeded = limits_.exceeded(job, gpus, stay)) {
      reason.code = ReasonCode::limit;
      reason.limit = std::move(exceeded);
      return;
    }
    const std::optional<ArraySlots::Slot> slot = array_slots_.next(job);
    const Time begin = std::max(from, job.spec.begin_ms.value_or(from));
    const Time allowed = std::max({begin, policies_.backfill->not_before(now_, latest_start_), slot ? slot->at : now_});
    LimitCalendar::Room room = limits_.earliest(job, gpus, allowed, stay);
    const std::optional<LimitReached> limit_now = room.limit;
    std::optional<Fit> fit;
    while (true) {  // until devices and limits agree; each step passes over no time at which both had room
      fit = timeline_.earliest_fit({.shape = shape, .length = stay, .from = view.bounds.not_before(shape, stay, room.at),
                                    .position = static_cast<std::size_t>(line.position - 1), .nodes = view.nodes, .closed = view.closed},
                                   *policies_.placement);
      ensure(fit.has_value() || own, "a shape that the free cluster holds fits at some time");
      if (!fit) {
        reason.code = ReasonCode::reservation;
        reason.reservation = job.spec.reservation;
        return;
      }
      if (room.at == now_) view.bounds.learn(shape, stay, fit->start);
      if (fit->start == room.at) break;
      room = limits_.earliest(job, gpus, fit->start, stay);
      if (room.at == fit->start) break;
    }
    if (job.spec.deadline_ms && fit->start + job.spec.time_limit_ms > *job.spec.deadline_ms) {  // it would be rejected before: it takes no place
      reason.code = ReasonCode::deadline;
      reason.until_ms = job.spec.deadline_ms;
      return;
    }
    if (fit->start > now_) room = limits_.earliest(job, gpus, fit->start - milliseconds(1), stay);  // what holds it back until just before its start
    array_slots_.take(job, fit->start + stay);
    limits_.take(job, gpus, fit->start, fit->start + stay);
    if (keeps_spans_) spans_[job.job] = {fit->start, fit->start + stay};
    line.start_ms = fit->start;
    line.end_ms = fit->start + job.spec.time_limit_ms;
    if (slot) {
      enter(*fit, stay, job, line);
      reason.code = ReasonCode::array_limit;
      reason.waits_for = {slot->ends};
      return;
    }
    explain(shape, stay, view, *fit, reason);
    take(*fit, stay, job, line);
    if (fit->start == now_) {
      line.backfilled = somebody_waits_;
      return;
    }
    const auto borrower = borrowers_.find(job.job);
    if (room.limit) {
      reason.code = ReasonCode::limit;
      reason.limit = room.limit;
      reason.waits_for = room.ends;
    } else if (job.spec.begin_ms > now_) {
      reason.code = ReasonCode::begin_time;
      reason.until_ms = job.spec.begin_ms;
    } else if (own && own->start_ms > now_) {
      reason.code = ReasonCode::reservation;
      reason.until_ms = own->start_ms;
      reason.reservation = own->name;
    } else if (limit_now && reason.code == ReasonCode::priority) {
      reason.code = ReasonCode::limit;
      reason.limit = limit_now;
    } else if (borrower != borrowers_.end() && reason.code != ReasonCode::reservation) {
      reason.code = ReasonCode::soft_cap;
      reason.limit = borrower->second;
    }
    // Those behind it that start now go ahead of it. (Who goes at the pace of an array, a limit or a date holds nobody up by its turn in the order.)
    if (ArraySlots::is_limited(job) || room.limit || fit->start == job.spec.begin_ms || (own && fit->start == own->start_ms)) return;
    somebody_waits_ = somebody_waits_ || reason.code != ReasonCode::limit;
    if (fit->start >= latest_start_) {
      latest_start_ = fit->start;
      waits_of_latest_ = reason.waits_for;
    }
  }

  /// Elements of one array depend on the same.
  const DependencyView& dependencies_of(const Job& job) {
    const auto [view, is_new] = dependencies_.try_emplace(job.array ? job.array->array : job.job);
    if (is_new) view->second = look_at_dependencies(state_, job.spec.dependencies);
    return view->second;
  }

  /// What of devices and reservations keeps it from running now.
  void explain(const Shape& shape, Duration stay, const ClassView& view, const Fit& fit, Reason& reason) const {
    if (fit.start == now_) {
      reason.code = ReasonCode::starting_now;
      return;
    }
    std::vector<std::int64_t> free, open;
    for (std::size_t index = 0; index < view.nodes.size(); ++index) {
      free.push_back(free_in(view, index));
      const bool is_closed = view.closed && closes((*view.closed)[view.nodes[index]], now_, stay);
      open.push_back(is_closed ? 0 : free.back());
    }
    if (!fits(shape, free)) {
      reason.code = reason.gpus_free >= reason.gpus_asked ? ReasonCode::fragmentation : ReasonCode::resources;
    } else if (fits(shape, open)) {
      reason.code = ReasonCode::priority;
    } else if (const Reservation* reservation = closures_.first_in_the_way(view.nodes, now_, stay)) {
      reason.code = ReasonCode::reservation;
      reason.until_ms = reservation->end_ms;
      reason.reservation = reservation->name;
    }
  }

  static bool closes(const std::vector<Interval>& closed, Time start, Duration length) {
    return std::any_of(closed.begin(), closed.end(), [&](const Interval& one) { return one.start < start + length && one.end > start; });
  }

  /// Enters the job's stay into the calendar and fills in its allocation. Returns the stays that are the last before it on its devices.
  std::vector<std::pair<Time, JobId>> enter(const Fit& fit, Duration stay, const Job& job, PlannedJob& line) {
    std::vector<std::pair<Time, JobId>> waits;
    for (const Fit::OnNode& on_node : fit.nodes) {
      line.allocation.push_back({nodes_[on_node.node]->name, on_node.devices});
      for (const std::int64_t device : on_node.devices)
        if (const auto previous = timeline_.add(on_node.node, device, {fit.start, fit.start + stay, job.job}))
          waits.emplace_back(previous->end, previous->job);
    }
    return waits;
  }

  /// The same for a job that waits for devices, with the account of what is free now and of whom it waits for.
  void take(const Fit& fit, Duration stay, const Job& job, PlannedJob& line) {
    auto waits = enter(fit, stay, job, line);
    if (fit.start == now_) {
      for (const Fit::OnNode& on_node : fit.nodes) {
        free_now_[on_node.node] -= static_cast<std::int64_t>(on_node.devices.size());
        free_total_ -= static_cast<std::int64_t>(on_node.devices.size());
      }
      return;
    }
    std::sort(waits.begin(), waits.end());
    waits.erase(std::unique(waits.begin(), waits.end()), waits.end());
    if (waits.empty() || waits.back().first < fit.start) {
      // Without backfill a job may wait for the order alone: then it waits for what the job ahead of it waits for. A date has no job that ends.
      if (fit.start == latest_start_) line.reason.waits_for = waits_of_latest_;
      return;
    }
    if (waits.size() > waits_for_max) waits.resize(waits_for_max);
    for (const auto& [end, waited_for] : waits) line.reason.waits_for.push_back(waited_for);
  }

  const State& state_;
  const Time now_;
  const policy::Policies policies_;
  std::map<std::string_view, std::size_t> node_index_;
  const std::vector<const NodeConfig*> nodes_;  // up, in node order
  Timeline timeline_;
  std::map<RequestClass, ClassView, ByRequestClass> views_;
  std::vector<std::int64_t> free_now_;  // devices of each node that are free now and stay so after the starts planned so far
  std::int64_t free_total_ = 0;
  bool somebody_waits_ = false;         // a job ahead does not start now
  Time latest_start_ = now_;            // of the jobs ahead
  std::vector<JobId> waits_of_latest_;
  ArraySlots array_slots_;
  Closures closures_;
  LimitCalendar limits_;
  std::map<JobId, LimitReached> borrowers_;
  std::map<JobId, DependencyView> dependencies_;
  bool keeps_spans_ = false;      // somebody waits for others
  std::map<JobId, Span> spans_;   // of what runs and is planned so far
};

}  // namespace

Duration longest_stay(const JobSpec& spec) { return launch_allowance + spec.time_limit_ms + spec.stop_grace_ms; }

Time assumed_end(const Job& job, Time now) {
  const Attempt& attempt = job.attempts.back();
  const Time latest_normal_start = attempt.decided_ms + launch_allowance;
  const Time start = attempt.started_ms ? std::max(*attempt.started_ms, latest_normal_start) : latest_normal_start;
  return std::max(start + job.spec.time_limit_ms + job.spec.stop_grace_ms, now + seconds(1));
}

Plan make_plan(const State& state, Time now, PlanExtent extent) { return Planner(state, now).run(extent); }

}  // namespace ultramarine::core
