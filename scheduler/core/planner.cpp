// See planner.h. Order of work: the calendar gets the stays of running attempts, then each queued job in turn takes its place.
#include "scheduler/core/planner.h"

#include <algorithm>
#include <map>
#include <string_view>

#include "scheduler/core/array_slots.h"
#include "scheduler/core/dependencies.h"
#include "scheduler/core/eligible.h"
#include "scheduler/core/ensure.h"
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
  KnownBounds bounds;
};

class Planner {
 public:
  Planner(const State& state, Time now)
      : state_(state), now_(now), policies_(policy::make_policies(state, now)), nodes_(usable_nodes()), timeline_(timeline_nodes()) {
    for (const NodeConfig* node : nodes_) {
      free_now_.push_back(node->gpus);
      free_total_ += node->gpus;
    }
  }

  Plan run(PlanExtent extent) {
    Plan plan{now_, {}};
    std::vector<const Job*> queued, held;
    for (const auto& [id, job] : state_.jobs) {
      if (job.state == JobState::queued) queued.push_back(&job);
      if (job.state == JobState::held) held.push_back(&job);
    }
    const auto before = [&](const Job* a, const Job* b) {
      const policy::OrderKey a_key = policies_.order->key(*a), b_key = policies_.order->key(*b);
      return a_key != b_key ? a_key < b_key : a->job < b->job;
    };
    std::sort(queued.begin(), queued.end(), before);
    std::sort(held.begin(), held.end(), before);
    for (const auto& [id, job] : state_.jobs) {
      if (!is_active(job.state)) continue;
      const auto behind = std::lower_bound(queued.begin(), queued.end(), &job, before);
      add_running(job, static_cast<std::size_t>(behind - queued.begin()));
    }
    plan.jobs.reserve(queued.size() + held.size());
    std::int64_t position = 0;
    for (const Job* job : queued) {
      ++position;
      // When no device is free now, a job further down can only turn out to be impossible; so can one that waits for others.
      if (extent == PlanExtent::starts && (free_total_ == 0 || awaits_others(*job)) && can_ever_run(*job)) continue;
      plan.jobs.push_back(plan_job(*job, position));
    }
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
      view.nodes.push_back(index->second);
      view.devices.push_back(gpus);
    }
    return &views_.emplace(RequestClass(job.spec), std::move(view)).first->second;
  }

  /// `ahead_of`: the position in the queue from which on the jobs are behind this one.
  void add_running(const Job& job, std::size_t ahead_of) {
    const Time end = assumed_end(job, now_);
    array_slots_.take(job, end);
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

  PlannedJob plan_job(const Job& job, std::int64_t position) {
    PlannedJob line = first_line(job, position);
    if (!can_ever_run(job)) {
      line.reason.code = ReasonCode::never_fits;
      return line;
    }
    if (awaits_others(job)) {
      const DependencyView& dependencies = dependencies_of(job);
      line.reason.code = dependencies.coming == Coming::never ? ReasonCode::dependency_never : ReasonCode::dependency;
      line.reason.waits_for = dependencies.jobs;
      return line;
    }
    ClassView& view = *view_of(job);
    const Shape shape = shape_of(job.spec.resources, view.gpus_per_node_max);
    if (!fits(shape, view.devices)) {
      line.reason.code = ReasonCode::nodes_missing;
      somebody_waits_ = true;
      return line;
    }
    const Duration stay = longest_stay(job.spec);
    const std::optional<ArraySlots::Slot> slot = array_slots_.next(job);
    const Time allowed = std::max(policies_.backfill->not_before(now_, latest_start_), slot ? slot->at : now_);
    const std::optional<Fit> fit =
        timeline_.earliest_fit({.shape = shape, .length = stay, .from = view.bounds.not_before(shape, stay, allowed),
                                .position = static_cast<std::size_t>(position - 1), .nodes = view.nodes}, *policies_.placement);
    ensure(fit.has_value(), "a shape that the free cluster holds fits at some time");
    if (allowed == now_) view.bounds.learn(shape, stay, fit->start);
    array_slots_.take(job, fit->start + stay);
    line.start_ms = fit->start;
    line.end_ms = fit->start + job.spec.time_limit_ms;
    if (slot) {
      enter(*fit, stay, job, line);
      line.reason.code = ReasonCode::array_limit;
      line.reason.waits_for = {slot->ends};
      return line;
    }
    line.reason.code = reason_for(shape, view, *fit, line.reason);
    take(*fit, stay, job, line);
    line.backfilled = fit->start == now_ && somebody_waits_;
    if (fit->start == now_ || ArraySlots::is_limited(job)) return line;
    // Those behind it that start now go ahead of it. (A limited array goes at its own pace, and holds nobody up by its turn in the order.)
    somebody_waits_ = true;
    if (fit->start >= latest_start_) {
      latest_start_ = fit->start;
      waits_of_latest_ = line.reason.waits_for;
    }
    return line;
  }

  /// Elements of one array depend on the same.
  const DependencyView& dependencies_of(const Job& job) {
    const auto [view, is_new] = dependencies_.try_emplace(job.array ? job.array->array : job.job);
    if (is_new) view->second = look_at_dependencies(state_, job.spec.dependencies);
    return view->second;
  }

  ReasonCode reason_for(const Shape& shape, const ClassView& view, const Fit& fit, const Reason& counted) const {
    if (fit.start == now_) return ReasonCode::starting_now;
    std::vector<std::int64_t> free;
    free.reserve(view.nodes.size());
    for (std::size_t index = 0; index < view.nodes.size(); ++index) free.push_back(free_in(view, index));
    if (fits(shape, free)) return ReasonCode::priority;
    return counted.gpus_free >= counted.gpus_asked ? ReasonCode::fragmentation : ReasonCode::resources;
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
    if (waits.size() > waits_for_max) waits.resize(waits_for_max);
    for (const auto& [end, waited_for] : waits) line.reason.waits_for.push_back(waited_for);
    // Without backfill a job may wait for the order alone: then it waits for what the job ahead of it waits for.
    if (line.reason.waits_for.empty()) line.reason.waits_for = waits_of_latest_;
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
  std::map<JobId, DependencyView> dependencies_;
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
