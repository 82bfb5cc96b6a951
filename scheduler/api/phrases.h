// Pieces that sentences are made of.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ultramarine::api {

/// "1 job", "3 jobs"
inline std::string counted(std::int64_t count, const std::string& noun) { return std::to_string(count) + " " + noun + (count == 1 ? "" : "s"); }

/// "4 GPUs"
inline std::string gpus_in_words(std::int64_t count) { return counted(count, "GPU"); }

/// "a, b and c"
inline std::string joined(const std::vector<std::string>& parts, const char* last = " and ") {
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) text += (i == 0 ? "" : i + 1 == parts.size() ? last : ", ") + parts[i];
  return text;
}

}  // namespace ultramarine::api
