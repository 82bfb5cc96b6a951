// How people name a job: 12, or 12_3 for the element of array 12 with index 3. The scheduler knows both.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "scheduler/protocol/api_messages.h"

namespace ultramarine::cli {

struct JobName {
  JobName(JobId job) : text(std::to_string(job.value)) {}
  explicit JobName(std::string text_) : text(std::move(text_)) {}
  std::string text;
};

/// `12`, `12_3`, or `12_[1-5,7]` taken apart; empty when it names no job, or more than 10,000.
std::vector<JobName> parse_job_names(const std::string& given);

/// The name that people see: 12_3 for an element of an array.
std::string name_of(const Job& job);
/// The same; of a whole array its number.
std::string name_of(const protocol::JobView& view);

/// `0-3,7` of ascending numbers.
std::string ranges_text(const std::vector<std::int64_t>& numbers);

/// `0-3,7` taken apart: ascending, no two the same; nullopt when it is malformed or holds more than `most` numbers.
std::optional<std::vector<std::int64_t>> parse_ranges(const std::string& text, std::size_t most);

}  // namespace ultramarine::cli
