// See dependencies.h.
#include "scheduler/core/dependencies.h"

#include <algorithm>

#include "scheduler/core/arrays.h"

namespace ultramarine::core {
namespace {

constexpr std::size_t jobs_named_max = 5;

bool has_started(const Job& job) {
  return is_terminal(job.state) ||
         std::any_of(job.attempts.begin(), job.attempts.end(), [](const Attempt& attempt) { return attempt.started_ms && !attempt.trial_ms; });
}

/// Of one job, or of one element; `notok` is judged over all of them.
Coming judge(const Job& job, DependencyCondition condition) {
  if (condition == DependencyCondition::started) return has_started(job) ? Coming::met : Coming::waiting;
  if (!is_terminal(job.state)) return Coming::waiting;
  return condition == DependencyCondition::ok && job.state != JobState::completed ? Coming::never : Coming::met;
}

/// The cheap question: has it come? Stops at the first job that says no.
bool has_come(const State& state, const Dependency& dependency) {
  const auto job = state.jobs.find(dependency.job);
  if (job == state.jobs.end()) return true;  // forgotten: it holds nobody up
  const auto has_met = [&](const Job& one) { return judge(one, dependency.condition) == Coming::met; };
  const auto went_well = [](const Job& one) { return one.state == JobState::completed; };
  if (!names_array(job->second)) return has_met(job->second) && (dependency.condition != DependencyCondition::notok || !went_well(job->second));
  return all_elements(state, job->second, has_met) &&
         (dependency.condition != DependencyCondition::notok || !all_elements(state, job->second, went_well));
}

bool have_come(const State& state, const std::vector<Dependency>& dependencies) {
  return std::all_of(dependencies.begin(), dependencies.end(), [&](const Dependency& one) { return has_come(state, one); });
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

Expected expect_dependencies(const State& state, const std::vector<Dependency>& dependencies, Duration launch_allowance,
                             const std::function<std::optional<Span>(JobId)>& span_of) {
  Time latest{0};
  for (const Dependency& dependency : dependencies) {
    const auto found = state.jobs.find(dependency.job);
    if (found == state.jobs.end() || has_come(state, dependency)) continue;
    const auto elements = names_array(found->second) ? elements_of(state, found->second) : std::vector<const Job*>{&found->second};
    // If all end well from now on, one that waits for a failure needs one that has happened, and one that waits for successes none.
    const bool has_failed = std::any_of(elements.begin(), elements.end(), [](const Job* one) { return is_terminal(one->state) && one->state != JobState::completed; });
    if ((dependency.condition == DependencyCondition::notok && !has_failed) || (dependency.condition == DependencyCondition::ok && has_failed)) return {};
    for (auto element = elements.rbegin(); element != elements.rend(); ++element) {
      if (judge(**element, dependency.condition) == Coming::met) continue;
      const std::optional<Span> span = span_of((*element)->job);
      if (!span) return {std::nullopt, (*element)->job};
      latest = std::max(latest, dependency.condition == DependencyCondition::started ? span->start + launch_allowance : span->end);
    }
  }
  return {latest, std::nullopt};
}

void settle_dependencies(State& state, Time now) {
  std::vector<JobId>& awaiting = state.awaiting_dependencies;
  auto kept = awaiting.begin();
  for (auto first = awaiting.begin(); first != awaiting.end();) {
    // Elements of one array stand side by side and depend on the same.
    const Job& job = state.jobs.at(*first);
    const auto last = job.array ? std::lower_bound(first, awaiting.end(), JobId{job.array->array.value + job.array->count}) : std::next(first);
    if (have_come(state, job.spec.dependencies))
      for (; first != last; ++first) state.jobs.at(*first).eligible_ms = now;
    else if (kept == first) kept = first = last;
    else kept = std::move(first, last, kept), first = last;
  }
  awaiting.erase(kept, awaiting.end());
}

void stop_awaiting(State& state, JobId job) {
  const auto place = std::lower_bound(state.awaiting_dependencies.begin(), state.awaiting_dependencies.end(), job);
  if (place != state.awaiting_dependencies.end() && *place == job) state.awaiting_dependencies.erase(place);
}

}  // namespace ultramarine::core
