// How many random cases a test tries.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

namespace ultramarine::tests {

/// ULTRAMARINE_SLOW=1: `slow` of them.
inline std::uint64_t cases(std::uint64_t usual, std::uint64_t slow) {
  const char* asked = std::getenv("ULTRAMARINE_SLOW");
  return asked && std::string(asked) == "1" ? slow : usual;
}

}  // namespace ultramarine::tests
