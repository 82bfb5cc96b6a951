#include "scheduler/cli/job_name.h"

#include <algorithm>
#include <charconv>
#include <set>

namespace ultramarine::cli {
namespace {

constexpr std::size_t elements_max = 10'000;
constexpr std::size_t digits_max = 15;

std::optional<std::int64_t> whole_number(std::string_view text) {
  if (text.empty() || text.size() > digits_max || text.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

std::optional<std::vector<std::int64_t>> parse_ranges(const std::string& text, std::size_t most) {
  std::set<std::int64_t> numbers;
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t comma = std::min(text.find(',', from), text.size());
    const std::string_view part = std::string_view(text).substr(from, comma - from);
    from = comma + 1;
    const std::size_t dash = part.find('-');
    const auto first = whole_number(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : whole_number(part.substr(dash + 1));
    if (!first || !last || *last < *first || static_cast<std::uint64_t>(*last - *first) >= most) return std::nullopt;
    for (std::int64_t number = *first; number <= *last; ++number) numbers.insert(number);
    if (numbers.size() > most) return std::nullopt;
  }
  return std::vector<std::int64_t>(numbers.begin(), numbers.end());
}

std::vector<JobName> parse_job_names(const std::string& given) {
  const std::size_t bar = given.find('_');
  const auto job = whole_number(given.substr(0, bar));
  if (!job || *job < 1) return {};
  const std::string number = std::to_string(*job);
  if (bar == std::string::npos) return {JobName(number)};
  std::string rest = given.substr(bar + 1);
  if (rest.size() > 2 && rest.front() == '[' && rest.back() == ']')
    rest = rest.substr(1, rest.size() - 2);
  else if (!whole_number(rest))
    return {};
  std::vector<JobName> names;
  const auto indices = parse_ranges(rest, elements_max);
  if (!indices) return {};
  for (const std::int64_t index : *indices) names.emplace_back(number + "_" + std::to_string(index));
  return names;
}

std::string name_of(const Job& job) {
  return job.array ? std::to_string(job.array->array.value) + "_" + std::to_string(job.array->index) : std::to_string(job.job.value);
}

std::string name_of(const protocol::JobView& view) { return view.array ? std::to_string(view.details.job.value) : name_of(view.details); }

std::string ranges_text(const std::vector<std::int64_t>& numbers) {
  std::string text;
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t end = i;
    while (end + 1 < numbers.size() && numbers[end + 1] == numbers[end] + 1) ++end;
    text += (text.empty() ? "" : ",") + std::to_string(numbers[i]) + (end > i ? "-" + std::to_string(numbers[end]) : "");
    i = end + 1;
  }
  return text;
}

}  // namespace ultramarine::cli
