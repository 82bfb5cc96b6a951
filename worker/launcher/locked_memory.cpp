#include "worker/launcher/locked_memory.h"

#include <algorithm>

namespace ultramarine::launcher {

std::vector<ResourceLimit> locked_memory_limits(std::int64_t bytes) {
  rlimit have{};
  if (bytes == 0 || ::getrlimit(RLIMIT_MEMLOCK, &have) != 0) return {};
  rlim_t granted = bytes < 0 ? RLIM_INFINITY : static_cast<rlim_t>(bytes);
  const rlimit raised{.rlim_cur = have.rlim_cur, .rlim_max = std::max(granted, have.rlim_max)};
  if (::setrlimit(RLIMIT_MEMLOCK, &raised) != 0) granted = std::min(granted, have.rlim_max);
  return {{.resource = RLIMIT_MEMLOCK, .soft = granted, .hard = granted}};
}

}  // namespace ultramarine::launcher
