// How many random cases a test tries.
#pragma once

#include <cstdlib>
#include <string>

namespace ultramarine::tests {

/// ULTRAMARINE_SLOW=1: `slow` of them.
template <class Count>
Count cases(Count usual, Count slow) {
  const char* asked = std::getenv("ULTRAMARINE_SLOW");
  return asked && std::string(asked) == "1" ? slow : usual;
}

}  // namespace ultramarine::tests
