// See roster.h.
#include "scheduler/core/roster.h"

#include <algorithm>
#include <tuple>
#include <variant>

#include "scheduler/core/array_slots.h"
#include "scheduler/core/dependencies.h"
#include "scheduler/core/ensure.h"
#include "scheduler/core/lifecycle.h"
#include "scheduler/core/order.h"
#include "scheduler/core/planner.h"

namespace ultramarine::core {
namespace {

template <class Kind>
constexpr bool changes_nodes = std::is_same_v<Kind, PolicyChanged> || std::is_same_v<Kind, NodeJoined> || std::is_same_v<Kind, NodeSuspected> ||
                               std::is_same_v<Kind, NodeUnreachable> || std::is_same_v<Kind, NodeDrained> || std::is_same_v<Kind, NodeResumed> || std::is_same_v<Kind, NodeLost> ||
                               std::is_same_v<Kind, ReservationMade> || std::is_same_v<Kind, ReservationEnded> || std::is_same_v<Kind, PeriodStarted>;

}  // namespace

bool comes_first(const Candidate& a, const Candidate& b) { return std::tie(a.key, a.job->job) < std::tie(b.key, b.job->job); }

Needs needs_of(const JobSpec& spec) { return {spec.cpus_per_gpu, spec.memory_per_gpu_bytes, spec.exclusive}; }

PlaceRequest request_of(const Candidate& waits, Time from) {
  return {.shape = waits.shape, .length = waits.stay, .from = from, .position = waits.position, .nodes = waits.view->nodes,
          .needs = needs_of(waits.job->spec), .closed = waits.view->closed};
}

Roster::Roster(const State& state) : state_(state) { note_all_jobs(); }

void Roster::note(const Entry& entry) {
  std::visit(
      [&](const auto& one) {
        using What = std::decay_t<decltype(one)>;
        if constexpr (std::is_same_v<What, ClusterConfigured>) {
          note_all_jobs();
        } else if constexpr (changes_nodes<What>) {
          nodes_changed_ = true;
        } else if constexpr (std::is_same_v<What, FavourBilled> || std::is_same_v<What, WaitsAccounted>) {
          // Nobody's place depends on them.
        } else if constexpr (std::is_same_v<What, JobsReordered>) {
          order_changed_ = is_reordered_ = true;
        } else if constexpr (std::is_same_v<What, JobSubmitted>) {
          for (JobId id = one.job; id.value < state_.next_job; ++id.value) note_job(id);
        } else if constexpr (std::is_same_v<What, Round>) {
          for (const Decision& decision : one.decisions) std::visit([&](const auto& chosen) { note_job(chosen.job); }, decision);
        } else {
          // A node that refuses one launch too many is drained by that.
          if constexpr (std::is_same_v<What, AttemptEnded>) nodes_changed_ |= one.outcome == Outcome::start_failed;
          note_job(one.job);
        }
      },
      entry);
  if (awaiting_ != state_.awaiting_dependencies) note_dependencies();
}

void Roster::note_all_jobs() {
  nodes_changed_ = true;
  for (auto& jobs : by_state_) jobs.clear();
  held_.clear();
  is_reordered_ = false;
  awaiting_ = state_.awaiting_dependencies;
  for (const auto& [id, job] : state_.jobs)
    if (!is_terminal(job.state)) note_job(id);
}

/// Jobs whose dependencies have come get another place in the order.
void Roster::note_dependencies() {
  for (const JobId id : awaiting_)
    if (!std::binary_search(state_.awaiting_dependencies.begin(), state_.awaiting_dependencies.end(), id)) note_job(id);
  awaiting_ = state_.awaiting_dependencies;
}

void Roster::note_job(JobId id) {
  const Job& job = state_.jobs.at(id);
  const std::size_t now_in = job.state == JobState::queued ? 0 : job.state == JobState::held ? 1 : is_active(job.state) ? 2 : 3;
  for (std::size_t list = 0; list < 3; ++list)
    if (list != now_in && by_state_[list].erase(id) > 0 && list == 2) hold(job, false);
  if (now_in < 3 && by_state_[now_in].emplace(id, &job).second && now_in == 2) hold(job, true);
  if (job.own_turn > 0) order_changed_ = is_reordered_ = true;
  changed_.push_back(id);
}

void Roster::hold(const Job& job, bool held) {
  for (const NodeAllocation& on_node : job.attempts.back().allocation) {
    std::vector<bool>& devices = held_[on_node.node];
    for (const std::int64_t device : on_node.devices) {
      const auto index = static_cast<std::size_t>(device);
      if (devices.size() <= index) devices.resize(index + 1);
      devices[index] = held;
    }
  }
}

bool Roster::is_held(const std::string& node, std::int64_t device) const {
  const auto devices = held_.find(node);
  return devices != held_.end() && static_cast<std::size_t>(device) < devices->second.size() && devices->second[static_cast<std::size_t>(device)];
}

void Roster::prepare(Time now) {
  if (now == now_ && is_prepared_ && !nodes_changed_ && !order_changed_ && changed_.empty()) return;
  is_prepared_ = true;
  now_ = now;
  if (closures_until_ && now >= *closures_until_) nodes_changed_ = true;
  if (boosts_until_ && now >= *boosts_until_) order_changed_ = true;
  if (nodes_changed_) look_at_nodes();
  // Priorities of one tick stay; other orders are made at no cost, and may look at the clock for those that run.
  const bool is_new_tick = order_changes_at_ && now >= *order_changes_at_;
  if (!order_changes_at_ || is_new_tick || nodes_changed_ || !changed_.empty()) {
    policies_ = policy::make_policies(state_, now, jobs_active());
    order_changes_at_ = policies_->order->changes_at();
  }
  if (nodes_changed_ || order_changed_ || is_reordered_ || has_shares_ || is_new_tick || policies_->preemption->ranks_running()) order_all();
  else order_changed();
  nodes_changed_ = order_changed_ = false;
  changed_.clear();
}

void Roster::look_at_nodes() {
  nodes_.clear();
  sizes_.clear();
  node_index_.clear();
  views_.clear();
  kinds_.assign(1, {});
  kind_of_.clear();
  for (const NodeConfig& config : state_.cluster.nodes) {
    const auto node = state_.nodes.find(config.name);
    if (node != state_.nodes.end() && node->second.state == NodeState::up) nodes_.push_back(&config);
  }
  std::sort(nodes_.begin(), nodes_.end(), [](const NodeConfig* a, const NodeConfig* b) { return comes_before(a->name, b->name); });
  std::map<std::string_view, std::size_t> leaves;
  for (std::size_t index = 0; index < nodes_.size(); ++index) {
    const NodeConfig& node = *nodes_[index];
    node_index_.emplace(node.name, index);
    const std::size_t leaf = leaves.try_emplace(node.leaf, leaves.size()).first->second;
    sizes_.push_back({.devices = node.gpus, .cpus = node.cpus, .memory_bytes = node.memory_bytes, .leaf = leaf});
  }
  closures_.emplace(state_, nodes_, now_);
  closures_until_.reset();
  for (const auto& [name, reservation] : state_.reservations)
    if (reservation.end_ms > now_ && (!closures_until_ || reservation.end_ms < *closures_until_)) closures_until_ = reservation.end_ms;
  has_shares_ = LimitTable(state_).has_shares();
}

std::optional<std::size_t> Roster::index_of(std::string_view node) const {
  const auto index = node_index_.find(node);
  return index == node_index_.end() ? std::nullopt : std::optional(index->second);
}

/// Made when the first job of its class is met. nullptr: its partition is gone.
ClassView* Roster::view_of(const JobSpec& spec) {
  const auto known = views_.find(spec);
  if (known != views_.end()) return &known->second;
  const PartitionConfig* partition = find_partition(state_.cluster, spec.partition);
  if (!partition) return nullptr;
  ClassView view{.number = views_.size()};
  for (const auto& [node, gpus] : eligible_nodes(state_.cluster, *partition, spec)) {
    view.configured_devices.push_back(gpus);
    view.gpus_per_node_max = std::max(view.gpus_per_node_max, gpus);
    view.largest_node = std::max(view.largest_node, node->gpus);
    const auto index = index_of(node->name);
    if (!index || !closures_->may_use(spec.reservation, *index)) continue;
    view.nodes.push_back(*index);
    view.devices.push_back(gpus);
  }
  view.closed = closures_->closed_to(spec.reservation);
  return &views_.emplace(RequestClass(spec), std::move(view)).first->second;
}

/// Who failed somewhere goes elsewhere, if there are nodes enough.
const ClassView* Roster::chosen_view(const Job& job) {
  const ClassView* const all = view_of(job.spec);
  if (!all || job.avoided_nodes.empty()) return all;
  JobSpec elsewhere = job.spec;
  elsewhere.without_nodes.insert(elsewhere.without_nodes.end(), job.avoided_nodes.begin(), job.avoided_nodes.end());
  const ClassView* const others = view_of(elsewhere);
  const bool is_enough = !others->nodes.empty() && fits(shape_of(job.spec.resources, others->gpus_per_node_max), others->devices);
  return is_enough ? others : all;
}

Candidate Roster::candidate(const Job& job) {
  Candidate waits{.job = &job, .key = place_of(*policies_->order, job, now_), .view = chosen_view(job)};
  if (!waits.view) return waits;
  waits.shape = shape_of(job.spec.resources, waits.view->gpus_per_node_max);
  const auto [kind, is_new] = kind_of_.try_emplace({waits.view->number, waits.shape}, kinds_.size());
  if (is_new) kinds_.push_back({waits.view, waits.shape});
  waits.kind = kind->second;
  waits.stay = longest_stay(job.spec, state_.policy);
  waits.is_possible = fits(waits.shape, waits.view->configured_devices);
  waits.gpus = gpus_at_most(job.spec, waits.shape, waits.view->largest_node);
  waits.own = reservation_of(state_, job);
  return waits;
}

std::vector<Candidate> Roster::dependent() {
  std::vector<const Job*> jobs;
  for (const JobId id : awaiting_)
    if (const auto job = jobs_queued().find(id); job != jobs_queued().end()) jobs.push_back(job->second);
  std::vector<Candidate> candidates;
  for (const Job* job : in_order(state_, std::move(jobs), *policies_, now_)) candidates.push_back(candidate(*job));
  return candidates;
}

std::vector<JobId> Roster::impossible(Time now) const {
  std::vector<JobId> jobs(impossible_.begin(), impossible_.end());
  for (const JobId id : dated_)
    if (misses_deadline(*jobs_queued().at(id), now) && impossible_.count(id) == 0) jobs.push_back(id);
  return jobs;
}

std::optional<Time> Roster::next_date(Time now) const {
  std::optional<Time> earliest;
  for (const JobId id : dated_)
    if (const auto date = core::next_date(*jobs_queued().at(id), now); date && (!earliest || *date < *earliest)) earliest = date;
  if (boosts_until_ && (!earliest || *boosts_until_ < *earliest)) earliest = boosts_until_;
  return earliest;
}

/// Where everybody has a planned start, who is in a trial keeps his.
bool Roster::keeps_places_of_trials() const { return policies_->backfill->plans_everybody() && !policies_->preemption->ranks_running(); }

/// A job that has a place among those that wait, or nullptr.
const Job* Roster::in_line(JobId id) const {
  if (const auto queued = jobs_queued().find(id); queued != jobs_queued().end()) return queued->second;
  const auto active = jobs_active().find(id);
  return active != jobs_active().end() && keeps_places_of_trials() && is_in_trial(*active->second) ? active->second : nullptr;
}

void Roster::note_candidate(const Candidate& waits) {
  const Job& job = *waits.job;
  if (job.state == JobState::queued && !waits.is_possible) impossible_.insert(job.job);
  if (is_boosted(job, now_) && (!boosts_until_ || job.boost->until_ms < *boosts_until_)) boosts_until_ = job.boost->until_ms;
  const bool is_dated = not_before(job) || job.spec.deadline_ms;
  if (ArraySlots::is_limited(job) || is_dated) own_paces_.insert(job.job);
  if (job.state == JobState::queued && is_dated) dated_.insert(job.job);
  if (job.spec.cpus_per_gpu > 0 || job.spec.memory_per_gpu_bytes > 0 || own_paces_.count(job.job) > 0) beyond_devices_.insert(job.job);
}

void Roster::order_all() {
  queued_.clear();
  running_.clear();
  keys_.clear();
  impossible_.clear();
  own_paces_.clear();
  beyond_devices_.clear();
  dated_.clear();
  boosts_until_.reset();
  has_trials_ = false;
  std::vector<const Job*> competing;
  for (const auto& [id, job] : jobs_queued()) {
    if (awaits_others(*job)) note_candidate(candidate(*job));
    else competing.push_back(job);
  }
  for (const auto& [id, job] : jobs_active()) competing.push_back(job);
  const std::vector<const Job*> ordered = in_order(state_, std::move(competing), *policies_, now_);
  shares_ = shares_of(state_, ordered);
  const auto enter = [&](std::size_t place) {
    Candidate next = candidate(*ordered[place]);
    next.position = queued_.size();
    if (!shares_.empty() && shares_[place].share == ShareClass::borrower) next.soft_cap = &shares_[place].soft_cap;
    if (next.job->state != JobState::queued) {
      const bool is_trial = next.job->attempts.back().trial_ms.has_value();
      running_.push_back(next);
      if (is_trial) running_.back().position = behind_all;
      if (!in_line(next.job->job)) return;
      has_trials_ = true;
    }
    keys_.emplace(next.job->job, next.key);
    note_candidate(next);
    queued_.push_back(next);
  };
  if (shares_.empty()) {
    for (std::size_t place = 0; place < ordered.size(); ++place) enter(place);
    return;
  }
  // Boosted ones, then by share class, and within a class as they stand.
  for (std::size_t place = 0; place < ordered.size(); ++place)
    if (is_boosted(*ordered[place], now_)) enter(place);
  for (const ShareClass share : {ShareClass::floor, ShareClass::normal, ShareClass::borrower})
    for (std::size_t place = 0; place < ordered.size(); ++place)
      if (shares_[place].share == share && !is_boosted(*ordered[place], now_)) enter(place);
}

/// Only those that changed take other places.
void Roster::order_changed() {
  std::sort(changed_.begin(), changed_.end());
  changed_.erase(std::unique(changed_.begin(), changed_.end()), changed_.end());
  std::size_t first_moved = queued_.size();
  for (const JobId id : changed_) {
    first_moved = std::min(first_moved, forget(id));
    const Job* const job = in_line(id);
    if (!job) continue;
    const Candidate next = candidate(*job);
    note_candidate(next);
    if (awaits_others(*next.job)) continue;
    keys_.emplace(id, next.key);
    const auto place = queued_.insert(std::upper_bound(queued_.begin(), queued_.end(), next, comes_first), next);
    first_moved = std::min(first_moved, static_cast<std::size_t>(place - queued_.begin()));
  }
  for (std::size_t position = first_moved; position < queued_.size(); ++position) queued_[position].position = position;
  running_.clear();
  has_trials_ = false;
  for (const auto& [id, job] : jobs_active()) {
    running_.push_back({.job = job, .key = place_of(*policies_->order, *job, now_)});
    const auto place = std::lower_bound(queued_.begin(), queued_.end(), running_.back(), comes_first);
    running_.back().position = job->attempts.back().trial_ms ? behind_all : static_cast<std::size_t>(place - queued_.begin());
    has_trials_ = has_trials_ || in_line(id);
  }
  std::sort(running_.begin(), running_.end(), comes_first);
}

/// Returns the place from which on others have moved up.
std::size_t Roster::forget(JobId id) {
  impossible_.erase(id);
  own_paces_.erase(id);
  beyond_devices_.erase(id);
  dated_.erase(id);
  const auto key = keys_.find(id);
  if (key == keys_.end()) return queued_.size();
  const auto place = std::partition_point(queued_.begin(), queued_.end(), [&](const Candidate& waits) { return std::tie(waits.key, waits.job->job) < std::tie(key->second, id); });
  ensure(place != queued_.end() && place->job->job == id, "who waits is in the order");
  keys_.erase(key);
  return static_cast<std::size_t>(queued_.erase(place) - queued_.begin());
}

}  // namespace ultramarine::core
