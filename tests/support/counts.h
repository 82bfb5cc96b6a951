// How many random cases a test tries.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

namespace ultramarine::tests {

/// ULTRAMARINE_SLOW=1: `slow` of them. Under a sanitizer, where each takes ten times as long: a quarter of `usual`.
inline std::uint64_t cases(std::uint64_t usual, std::uint64_t slow) {
  if (const char* asked = std::getenv("ULTRAMARINE_SLOW"); asked && std::string(asked) == "1") return slow;
#ifdef ULTRAMARINE_SANITIZED
  return usual / 4;
#else
  return usual;
#endif
}

}  // namespace ultramarine::tests
