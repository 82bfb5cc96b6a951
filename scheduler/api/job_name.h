// How people name a job in a path: its number, or ARRAY_INDEX for an element of an array.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "scheduler/model/state.h"

namespace ultramarine::api {

struct JobName {
  JobId job;
  std::optional<std::int64_t> index;
};

/// nullopt when the text is no name of a job.
std::optional<JobName> parse_job_name(const std::string& text);
std::string text_of(const JobName& name);
/// `12_3` for an element of an array, else its number.
std::string text_of(const Job& job);

/// Whom the name means: one job, or all elements of an array that is named without an index. Empty: nobody.
std::vector<const Job*> named_jobs(const State& state, const JobName& name);

}  // namespace ultramarine::api
