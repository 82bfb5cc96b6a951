// See dependencies.h.
#include "scheduler/core/dependencies.h"

#include <algorithm>
#include <map>

#include "scheduler/core/arrays.h"

namespace ultramarine::core {
namespace {

constexpr std::size_t jobs_named_max = 5;

bool has_started(const Job& job) {
  return is_terminal(job.state) ||
         std::any_of(job.attempts.begin(), job.attempts.end(), [](const Attempt& attempt) { return attempt.started_ms.has_value(); });
}

/// Of one job, or of one element; `notok` is judged over all of them.
Coming judge(const Job& job, DependencyCondition condition) {
  if (condition == DependencyCondition::started) return has_started(job) ? Coming::met : Coming::waiting;
  if (!is_terminal(job.state)) return Coming::waiting;
  return condition == DependencyCondition::ok && job.state != JobState::completed ? Coming::never : Coming::met;
}

DependencyView look_at(const State& state, const Dependency& dependency) {
  DependencyView view;
  const auto job = state.jobs.find(dependency.job);
  if (job == state.jobs.end()) return view;  // forgotten: it holds nobody up
  const auto elements = names_array(job->second) ? elements_of(state, job->second) : std::vector<const Job*>{&job->second};
  bool all_well = true;
  for (const Job* element : elements) {
    all_well = all_well && element->state == JobState::completed;
    const Coming coming = judge(*element, dependency.condition);
    if (coming == Coming::met || coming < view.coming) continue;
    if (coming > view.coming) view = {coming, {}};
    if (view.jobs.size() < jobs_named_max) view.jobs.push_back(element->job);
  }
  if (dependency.condition == DependencyCondition::notok && view.coming == Coming::met && all_well) return {Coming::never, {dependency.job}};
  return view;
}

}  // namespace

DependencyView look_at_dependencies(const State& state, const std::vector<Dependency>& dependencies) {
  DependencyView view;
  for (const Dependency& dependency : dependencies) {
    const DependencyView one = look_at(state, dependency);
    if (one.coming < view.coming) continue;
    if (one.coming > view.coming) view = {one.coming, {}};
    view.jobs.insert(view.jobs.end(), one.jobs.begin(), one.jobs.end());
  }
  std::sort(view.jobs.begin(), view.jobs.end());
  view.jobs.erase(std::unique(view.jobs.begin(), view.jobs.end()), view.jobs.end());
  if (view.jobs.size() > jobs_named_max) view.jobs.resize(jobs_named_max);
  return view;
}

void settle_dependencies(State& state, Time now) {
  std::map<JobId, Coming> of_arrays;  // elements of one array depend on the same
  std::erase_if(state.awaiting_dependencies, [&](JobId id) {
    Job& job = state.jobs.at(id);
    if (is_terminal(job.state)) return true;
    const JobId asked_once = job.array ? job.array->array : id;
    const auto [known, is_new] = of_arrays.try_emplace(asked_once, Coming::met);
    if (is_new) known->second = look_at_dependencies(state, job.spec.dependencies).coming;
    if (known->second != Coming::met) return false;
    job.eligible_ms = now;
    return true;
  });
}

}  // namespace ultramarine::core
