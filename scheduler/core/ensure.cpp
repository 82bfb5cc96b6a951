// The end of the process when a promise of our own code is broken: says what and where, then aborts.
#include "scheduler/core/ensure.h"

#include <cstdio>
#include <cstdlib>

namespace ultramarine::core {

void ensure_failed(const char* what, std::source_location where) {
  std::fprintf(stderr, "ultramarine: broken promise: %s (%s:%u, %s)\n", what, where.file_name(), static_cast<unsigned>(where.line()),
               where.function_name());
  std::fflush(stderr);
  std::abort();
}

}  // namespace ultramarine::core
