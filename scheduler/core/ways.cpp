// See ways.h. Order of work: the grid, one probing pass, a choice per axis, and a whole plan for each that is chosen.
#include "scheduler/core/ways.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "scheduler/core/accept.h"
#include "scheduler/core/comparison.h"
#include "scheduler/core/lifecycle.h"
#include "scheduler/core/planner.h"
#include "scheduler/core/timeline.h"

namespace ultramarine::core {
namespace {

constexpr Duration sooner_by_least = minutes(1);  // what is worth a line
constexpr std::size_t pairs_max = 2;
constexpr int tries_per_axis = 3;                 // whole plans, should the probing pass have promised too much

/// Time limits that people would choose, shorter than `limit`, longest first: by the minute up to two hours, by the quarter up to a day, then by the hour.
std::vector<Duration> shorter_times(Duration limit) {
  std::vector<Duration> times;
  const auto step = [](Duration at) { return at <= hours(2) ? minutes(1) : at <= hours(24) ? minutes(15) : hours(1); };
  for (Duration time = minutes(1); time < limit; time = time + step(time + milliseconds(1))) times.push_back(time);
  std::reverse(times.begin(), times.end());
  return times;
}

/// Of the same kind as the request, largest first, then on fewer nodes.
std::vector<Resources> smaller_sizes(const JobSpec& spec) {
  const Resources& asked = spec.resources;
  std::vector<Resources> sizes;
  for (std::int64_t gpus = asked.gpus - 1; gpus >= 1; --gpus) sizes.push_back({.gpus = gpus});
  for (std::int64_t nodes = asked.nodes - 1; nodes >= 1; --nodes) sizes.push_back({.nodes = nodes, .gpus_per_node = asked.gpus_per_node});
  for (std::int64_t gpus = asked.gpus_per_node - 1; gpus >= 1; --gpus) sizes.push_back({.nodes = asked.nodes, .gpus_per_node = gpus});
  std::stable_sort(sizes.begin(), sizes.end(), [](const Resources& a, const Resources& b) {
    return std::pair{-total_gpus(a), a.nodes} < std::pair{-total_gpus(b), b.nodes};
  });
  std::erase_if(sizes, [&](const Resources& size) { return total_gpus(size) < spec.min_gpus; });
  return sizes;
}

/// As many GPUs, split otherwise: fewest nodes first.
std::vector<Resources> other_shapes(const Resources& asked) {
  const std::int64_t total = total_gpus(asked);
  std::vector<Resources> shapes;
  if (asked.gpus == 0) shapes.push_back({.gpus = total});
  for (std::int64_t nodes = 1; nodes <= total; ++nodes)
    if (total % nodes == 0 && nodes != asked.nodes) shapes.push_back({.nodes = nodes, .gpus_per_node = total / nodes});
  return shapes;
}

class Grid {
 public:
  Grid(const Scheduler& scheduler, const Job& job, Time now) : state_(scheduler.state()), job_(job), now_(now) {}

  std::vector<Variant> variants() {
    const JobSpec& spec = job_.spec;
    const bool has_own_ranks = spec.ranks > 0 || spec.ranks_per_node > 0;
    if (!has_own_ranks && !spec.exclusive)
      for (const Resources& shape : other_shapes(spec.resources)) add(WayKind::shape, {.resources = shape});
    const std::vector<Duration> times = shorter_times(spec.time_limit_ms);
    for (const Duration time : times) add(WayKind::time, {.time_limit_ms = time});
    const std::vector<Resources> sizes = spec.ranks > 0 ? std::vector<Resources>{} : smaller_sizes(spec);
    for (const Resources& size : sizes) add(WayKind::size, {.resources = size});
    if (spec.exclusive) add(WayKind::nodes, {.exclusive = false});
    if (!spec.without_nodes.empty()) add(WayKind::nodes, {.without_nodes = std::vector<std::string>{}});
    if (!spec.only_nodes.empty()) add(WayKind::nodes, {.only_nodes = std::vector<std::string>{}});
    for (const PartitionConfig& partition : state_.cluster.partitions)
      if (partition.name != spec.partition) add(WayKind::partition, {.partition = partition.name});
    for (const QosConfig& qos : state_.cluster.qos)
      if (qos.name != spec.qos) add(WayKind::qos, {.qos = qos.name});
    add_pairs(sizes, times);
    return std::move(variants_);
  }

 private:
  /// Halves of the size and of the time, and theirs.
  void add_pairs(const std::vector<Resources>& sizes, const std::vector<Duration>& times) {
    for (std::int64_t total = total_gpus(job_.spec.resources) / 2; total >= 1; total /= 2) {
      const auto size = std::find_if(sizes.begin(), sizes.end(), [&](const Resources& one) { return total_gpus(one) == total; });
      if (size == sizes.end()) continue;
      for (Duration most{job_.spec.time_limit_ms.ms / 2}; most >= minutes(1); most.ms /= 2) {
        const auto time = std::find_if(times.begin(), times.end(), [&](Duration one) { return one <= most; });
        if (time != times.end()) add(WayKind::size_and_time, {.resources = *size, .time_limit_ms = *time});
      }
    }
  }

  void add(WayKind kind, JobChange its) {
    JobSpec asked = job_.spec;
    change(asked, its);
    asked.dependencies.clear();  // they have come
    auto accepted = accept_request(state_, std::move(asked), job_.owner, now_);
    if (auto* complete = std::get_if<Accepted>(&accepted)) variants_.push_back({kind, std::move(its), std::move(complete->spec)});
  }

  const State& state_;
  const Job& job_;
  const Time now_;
  std::vector<Variant> variants_;
};

bool waits_for_its_turn(const Job& job, const PlannedJob& line, Time now) {
  if (job.state != JobState::queued || line.start_ms == now) return false;
  switch (line.reason.code) {
    case ReasonCode::held:
    case ReasonCode::dependency:
    case ReasonCode::dependency_never:
    case ReasonCode::begin_time:
    case ReasonCode::restart_delay:
    case ReasonCode::array_limit: return false;
    default: return true;
  }
}

/// The change that takes back another.
JobChange what_it_was(const JobSpec& spec) {
  return {spec.resources, spec.time_limit_ms, spec.partition, spec.qos, spec.only_nodes, spec.without_nodes, spec.exclusive};
}

class Search {
 public:
  Search(Scheduler scheduler, const Plan& plan, const Job& job, const PlannedJob& line, Time now)
      : tried_(std::move(scheduler)), plan_(plan), job_(job), line_(line), now_(now), variants_(variants_of(tried_, job_, now)) {
    std::vector<Job> jobs;
    for (const Variant& variant : variants_) {
      jobs.push_back(job_);
      jobs.back().spec = variant.spec;
    }
    if (plans_everybody(tried_.state())) starts_ = tried_.probe(now, job_.job, jobs);
    else
      for (const Variant& variant : variants_) starts_.push_back(start_in(plan_with(variant)));
  }

  std::vector<Way> ways() {
    constexpr std::array axes{WayKind::shape, WayKind::time, WayKind::size, WayKind::nodes, WayKind::partition, WayKind::qos};
    std::vector<Way> at_once, sooner;
    for (const WayKind axis : axes) {
      const std::size_t before = at_once.size();
      add_first_now(axis, 1, at_once);
      if (at_once.size() == before) add_soonest(axis, sooner);
    }
    const bool either_helps = std::any_of(at_once.begin(), at_once.end(), [](const Way& way) { return way.kind == WayKind::size || way.kind == WayKind::time; });
    if (!either_helps) add_first_now(WayKind::size_and_time, pairs_max, at_once);
    std::stable_sort(sooner.begin(), sooner.end(), [](const Way& a, const Way& b) { return a.start < b.start; });
    at_once.insert(at_once.end(), std::make_move_iterator(sooner.begin()), std::make_move_iterator(sooner.end()));
    if (at_once.size() > ways_max) at_once.resize(ways_max);
    return at_once;
  }

 private:
  /// The first `most` of the axis that start it now and of which none is less than one before it in everything.
  void add_first_now(WayKind axis, std::size_t most, std::vector<Way>& ways) {
    int tries = 0;
    std::vector<const Variant*> taken;
    for (std::size_t i = 0; i < variants_.size() && taken.size() < most && tries < tries_per_axis; ++i) {
      const Variant& variant = variants_[i];
      if (variant.kind != axis || starts_[i] != now_) continue;
      const bool is_worse = std::any_of(taken.begin(), taken.end(), [&](const Variant* one) {
        return total_gpus(one->spec.resources) >= total_gpus(variant.spec.resources) && one->spec.time_limit_ms >= variant.spec.time_limit_ms;
      });
      if (is_worse) continue;
      ++tries;
      Way way = proven(variant);
      if (way.start != now_) continue;
      taken.push_back(&variant);
      ways.push_back(std::move(way));
    }
  }

  /// The smallest step to the earliest start of the axis.
  void add_soonest(WayKind axis, std::vector<Way>& ways) {
    std::optional<std::size_t> best;
    for (std::size_t i = 0; i < variants_.size(); ++i)
      if (variants_[i].kind == axis && starts_[i] && (!best || *starts_[i] < *starts_[*best])) best = i;
    if (!best || (line_.start_ms && *starts_[*best] + sooner_by_least > *line_.start_ms)) return;
    Way way = proven(variants_[*best]);
    if (way.start < forever && (!line_.start_ms || way.start + sooner_by_least <= *line_.start_ms)) ways.push_back(std::move(way));
  }

  Plan plan_with(const Variant& variant) {
    tried_.apply(now_, JobEdited{job_.job, variant.change, job_.owner});
    Plan plan = tried_.plan(now_);
    tried_.apply(now_, JobEdited{job_.job, what_it_was(job_.spec), job_.owner});
    return plan;
  }

  std::optional<Time> start_in(const Plan& plan) const {
    return line_of(plan, job_.job)->start_ms;
  }

  Way proven(const Variant& variant) {
    const Plan after = plan_with(variant);
    Way way{.kind = variant.kind, .change = variant.change, .start = start_in(after).value_or(forever)};
    way.is_suggestion = total_gpus(variant.spec.resources) < total_gpus(job_.spec.resources) && job_.spec.min_gpus == 0;
    Comparison moves = moves_between(tried_.state(), plan_, after, {job_.job});
    way.delayed = std::move(moves.delayed);
    way.displaced_gpu_ms = moves.displaced_gpu_ms;
    return way;
  }

  Scheduler tried_;
  const Plan& plan_;
  const Job job_;  // as it is, whatever is tried
  const PlannedJob& line_;
  const Time now_;
  const std::vector<Variant> variants_;
  std::vector<std::optional<Time>> starts_;
};

}  // namespace

std::vector<Variant> variants_of(const Scheduler& scheduler, const Job& job, Time now) { return Grid(scheduler, job, now).variants(); }

std::vector<Way> ways_to_start(Scheduler scheduler, const Plan& plan, JobId id, Time now) {
  const auto found = scheduler.state().jobs.find(id);
  const PlannedJob* line = line_of(plan, id);
  if (found == scheduler.state().jobs.end() || !line || !waits_for_its_turn(found->second, *line, now)) return {};
  const Job job = found->second;
  return Search(std::move(scheduler), plan, job, *line, now).ways();
}

}  // namespace ultramarine::core
