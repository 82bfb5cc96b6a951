// See job_name.h.
#include "scheduler/api/job_name.h"

#include <charconv>

#include "scheduler/core/arrays.h"

namespace ultramarine::api {

namespace {

std::optional<std::int64_t> number_in(std::string_view text, std::int64_t least) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < least) return std::nullopt;
  return number;
}

}  // namespace

std::optional<JobName> parse_job_name(const std::string& text) {
  const std::size_t underline = text.find('_');
  const auto job = number_in(std::string_view(text).substr(0, underline), 1);
  if (!job) return std::nullopt;
  if (underline == std::string::npos) return JobName{{*job}, std::nullopt};
  const auto index = number_in(std::string_view(text).substr(underline + 1), 0);
  if (!index) return std::nullopt;
  return JobName{{*job}, index};
}

std::string text_of(const JobName& name) {
  return std::to_string(name.job.value) + (name.index ? "_" + std::to_string(*name.index) : "");
}

std::string text_of(const Job& job) {
  return job.array ? text_of(JobName{job.array->array, job.array->index}) : std::to_string(job.job.value);
}

std::vector<const Job*> named_jobs(const State& state, const JobName& name) {
  if (name.index) {
    const Job* element = core::element_at(state, name.job, *name.index);
    return element ? std::vector{element} : std::vector<const Job*>{};
  }
  const auto job = state.jobs.find(name.job);
  if (job == state.jobs.end()) return {};
  return core::names_array(job->second) ? core::elements_of(state, job->second) : std::vector{&job->second};
}

}  // namespace ultramarine::api
