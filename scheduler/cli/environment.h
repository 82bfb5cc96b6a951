// One variable out of an environment. Knows no names of variables.
#pragma once

#include <map>
#include <string>

namespace ultramarine::cli {

/// "" where it isn't set.
inline std::string value_of(const std::map<std::string, std::string>& environment, const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() ? "" : found->second;
}

}  // namespace ultramarine::cli
