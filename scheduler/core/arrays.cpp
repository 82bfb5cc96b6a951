// See arrays.h.
#include "scheduler/core/arrays.h"

#include <algorithm>

namespace ultramarine::core {

bool names_array(const Job& job) { return job.array && job.array->array == job.job; }

std::vector<const Job*> elements_of(const State& state, const Job& job) {
  if (!job.array) return {&job};
  std::vector<const Job*> elements;
  elements.reserve(static_cast<std::size_t>(job.array->count));
  for (auto element = state.jobs.lower_bound(job.array->array);
       element != state.jobs.end() && element->first.value < job.array->array.value + job.array->count; ++element)
    elements.push_back(&element->second);
  return elements;
}

bool all_elements(const State& state, const Job& job, const std::function<bool(const Job&)>& holds) {
  if (!job.array) return holds(job);
  auto element = state.jobs.lower_bound({job.array->array.value + job.array->count});
  for (std::int64_t left = job.array->count; left > 0; --left)
    if (!holds((--element)->second)) return false;
  return true;
}

const Job* element_at(const State& state, JobId array, std::int64_t index) {
  const auto first = state.jobs.find(array);
  if (first == state.jobs.end() || !names_array(first->second)) return nullptr;
  const std::vector<const Job*> elements = elements_of(state, first->second);
  const auto element = std::find_if(elements.begin(), elements.end(), [&](const Job* job) { return job->array && job->array->index == index; });
  return element == elements.end() ? nullptr : *element;
}

}  // namespace ultramarine::core
