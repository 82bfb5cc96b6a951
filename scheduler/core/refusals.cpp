// See refusals.h.
#include "scheduler/core/refusals.h"

#include <algorithm>
#include <utility>

#include "scheduler/model/edit_distance.h"

namespace ultramarine::core {
namespace {

constexpr std::size_t name_bytes_max = 200;

}  // namespace

Refusal refuse(std::string field, std::string problem, std::string remedy) {
  return {std::move(field), std::move(problem), std::move(remedy), false};
}
Refusal can_never(std::string field, std::string problem, std::string remedy) {
  return {std::move(field), std::move(problem), std::move(remedy), true};
}

std::string counted(std::int64_t count, const std::string& noun) { return std::to_string(count) + " " + noun + (count == 1 ? "" : "s"); }

std::string in_words(Duration length) {
  constexpr std::pair<std::int64_t, const char*> units[] = {{86'400'000, "d"}, {3'600'000, "h"}, {60'000, "m"}, {1000, "s"}};
  for (const auto& [unit_ms, name] : units)
    if (length.ms != 0 && length.ms % unit_ms == 0) return std::to_string(length.ms / unit_ms) + name;
  return std::to_string(length.ms) + "ms";
}

bool has_control_characters(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

std::string name_remedy(std::string_view asked, const std::vector<std::string>& known) {
  if (known.empty()) return "there is none; ask the cluster's admin";
  const std::string asked_short(asked.substr(0, name_bytes_max));
  const std::string* nearest = &known.front();
  for (const std::string& name : known)
    if (edit_distance(asked_short, name) < edit_distance(asked_short, *nearest)) nearest = &name;
  if (edit_distance(asked_short, *nearest) <= std::max<std::size_t>(1, nearest->size() / 3)) return "did you mean " + *nearest + "?";
  std::string list;
  for (const std::string& name : known) list += (list.empty() ? "" : ", ") + name;
  return "use one of: " + list;
}

std::string quoted(std::string_view text) {
  std::string shown;
  for (const char c : text.substr(0, 60)) shown += has_control_characters({&c, 1}) ? '?' : c;
  return "\"" + shown + (text.size() > 60 ? "...\"" : "\"");
}

std::string listed(const std::vector<std::string>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) text += (i == 0 ? "" : i + 1 == words.size() ? " and " : ", ") + words[i];
  return text;
}

}  // namespace ultramarine::core
