// The phrases that refusals are made of: quoted input, counted nouns, lengths of time, the name that was probably meant.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/core/scheduler.h"

namespace ultramarine::core {

Refusal refuse(std::string field, std::string problem, std::string remedy);
/// Well formed, but this cluster can never run it.
Refusal can_never(std::string field, std::string problem, std::string remedy);

/// `1 GPU`, `2 GPUs`
std::string counted(std::int64_t count, const std::string& noun);
/// In the largest unit that divides it, as people type it: 90m, 2h, 7d.
std::string in_words(Duration length);
/// In quotation marks, at most 60 bytes, without control characters.
std::string quoted(std::string_view text);
bool has_control_characters(std::string_view text);
/// `a, b and c`
std::string listed(const std::vector<std::string>& words);
/// The known name that was probably meant, or all of them.
std::string name_remedy(std::string_view asked, const std::vector<std::string>& known);

template <class Named>
std::vector<std::string> names_of(const std::vector<Named>& values) {
  std::vector<std::string> names;
  for (const Named& value : values) names.push_back(value.name);
  return names;
}

}  // namespace ultramarine::core
