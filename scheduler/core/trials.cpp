// See trials.h.
#include "scheduler/core/trials.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "scheduler/core/array_slots.h"
#include "scheduler/core/calendar.h"
#include "scheduler/core/lifecycle.h"
#include "scheduler/core/rooms.h"

namespace ultramarine::core {
namespace {

constexpr std::int64_t gpus_per_job_unless_said = 1, share_permille_unless_said = 100;

std::int64_t said(const PolicyConfig& policy, const char* name, std::int64_t otherwise) {
  const auto found = policy.trial.find(name);
  return found == policy.trial.end() ? otherwise : found->second;
}

/// What any number of GPUs of one node would be.
Shape on_one_node(std::int64_t gpus) { return {.remainder = gpus}; }

}  // namespace

std::optional<TrialRule> trial_rule(const State& state, const policy::Policies& policies) {
  const PolicyConfig& policy = state.policy;
  const std::int64_t minutes_given = said(policy, "minutes", 0);
  const bool keeps_planned_starts = policies.backfill->plans_everybody() && !policies.backfill->keeps_order() && !policies.preemption->ranks_running();
  if (minutes_given <= 0 || !keeps_planned_starts) return std::nullopt;
  std::int64_t gpus = 0;
  for (const NodeConfig& node : state.cluster.nodes) gpus += node.gpus;
  return TrialRule{.length = minutes(minutes_given),
                   .gpus_per_job = said(policy, "gpus_per_job", gpus_per_job_unless_said),
                   .gpus_at_once = gpus * said(policy, "share_permille", share_permille_unless_said) / 1000};
}

std::optional<TrialSize> trial_size(const Job& job, const TrialRule& rule) {
  const JobSpec& spec = job.spec;
  const bool is_new = job.attempts.empty() && (!job.array || job.array->array == job.job);
  const bool needs_its_own_number = spec.ranks > 0 || spec.ranks_per_node > 0 || spec.exclusive;
  if (!spec.trial || !is_new || needs_its_own_number || !spec.reservation.empty() || spec.terminal) return std::nullopt;
  const std::int64_t on_a_node = spec.resources.gpus > 0 ? spec.resources.gpus : spec.resources.gpus_per_node;
  const TrialSize size{.least = std::max<std::int64_t>(spec.min_gpus, 1), .most = std::min(on_a_node, rule.gpus_per_job)};
  if (size.most < size.least) return std::nullopt;
  return size;
}

Trials::Trials(const State& state, Roster& roster, Time now) : state_(state), roster_(roster), now_(now), rule_(trial_rule(state, roster.policies())) {
  if (!rule_) return;
  gpus_left_ = rule_->gpus_at_once;
  for (const auto& [id, job] : roster.jobs_active())
    if (job->attempts.back().trial_ms) gpus_left_ -= gpus_of(job->attempts.back().allocation);
}

Duration Trials::length_of(const JobSpec& spec) const { return std::min(rule_->length, spec.time_limit_ms); }

Duration Trials::stay_of_trial(const JobSpec& spec) const { return state_.policy.launch_allowance_ms + length_of(spec) + spec.stop_grace_ms; }

/// It was not held or requeued while others of an array with a limit went ahead.
bool Trials::is_in_turn(const Job& job) const {
  if (!ArraySlots::is_limited(job)) return true;
  const auto& active = roster_.jobs_active();
  return std::none_of(active.begin(), active.end(), [&](const auto& entry) { return entry.second->array && entry.second->array->array == job.array->array; });
}

bool Trials::may_have_one(const Candidate& waits) const {
  const Job& job = *waits.job;
  if (job.state != JobState::queued || !waits.view || !waits.is_possible || not_before(job) > now_ || misses_deadline(job, now_)) return false;
  const auto size = trial_size(job, *rule_);
  return size && size->least <= gpus_left_ && is_in_turn(job);
}

bool Trials::are_possible(const Timeline& timeline) {
  if (!are_left()) return false;
  std::map<std::tuple<std::size_t, std::int64_t, Duration>, bool> known;  // class, GPUs, stay
  for (const Candidate& waits : roster_.queued()) {
    if (!may_have_one(waits)) continue;
    const std::int64_t least = trial_size(*waits.job, *rule_)->least;
    const Duration stay = stay_of_trial(waits.job->spec);
    const auto [possible, is_new] = known.try_emplace({waits.view->number, least, stay});
    if (is_new) possible->second = timeline.has_devices(on_one_node(least), waits.view->nodes, now_, stay);
    if (possible->second) return true;
  }
  return false;
}

/// As many GPUs as one node has for it.
std::optional<Fit> Trials::place(const Candidate& waits, Timeline& timeline, LimitCalendar& limits) const {
  const TrialSize size = *trial_size(*waits.job, *rule_);
  const Duration stay = stay_of_trial(waits.job->spec);
  PlaceRequest request = request_of(waits, now_);
  request.length = stay;
  request.position = behind_all;  // everybody has his place: nodes are compared by what is really free
  for (std::int64_t gpus = std::min(size.most, gpus_left_); gpus >= size.least; --gpus) {
    request.shape = on_one_node(gpus);
    if (!timeline.has_devices(request.shape, request.nodes, now_, stay)) continue;
    if (limits.exceeded(*waits.job, gpus, stay) || limits.earliest(*waits.job, gpus, now_, stay).at > now_) continue;
    auto fit = timeline.earliest_fit(request, *roster_.policies().placement);
    if (fit && fit->start == now_) return fit;
  }
  return std::nullopt;
}

std::vector<StartJob> Trials::choose(Timeline& timeline, LimitCalendar& limits, const std::vector<std::optional<Time>>& planned) {
  std::vector<StartJob> starts;
  for (const Candidate& waits : roster_.queued()) {
    if (!are_left()) break;
    if (!may_have_one(waits) || !planned[waits.position]) continue;
    const JobSpec& spec = waits.job->spec;
    const Time end = now_ + stay_of_trial(spec);
    if (*planned[waits.position] < end) continue;
    const auto fit = place(waits, timeline, limits);
    if (!fit) continue;
    const std::int64_t gpus = gpus_of(*fit);
    const Stay stay = stay_of(waits.job->job, now_, end, needs_of(spec));
    StartJob start{.job = waits.job->job, .attempt = 1, .trial_ms = length_of(spec)};
    for (const Fit::OnNode& on_node : fit->nodes) {
      for (const std::int64_t device : on_node.devices) timeline.add(on_node.node, device, stay);
      start.allocation.push_back({roster_.nodes()[on_node.node]->name, on_node.devices});
    }
    limits.take(*waits.job, gpus, now_, end);
    gpus_left_ -= gpus;
    starts.push_back(std::move(start));
  }
  return starts;
}

}  // namespace ultramarine::core
