// How much memory ranks of other users may lock ([fabric] memlock): decided while we are root, because they can't raise a hard limit themselves.
#pragma once

#include <cstdint>
#include <vector>

#include "worker/launcher/privileged/start_as_user.h"

namespace ultramarine::launcher {

/// For start_as_user: `bytes` (-1 = no limit) as soft and hard limit, or, where this process may not raise its own hard limit that far (root in a
/// container without CAP_SYS_RESOURCE), as much as that is. Empty for 0: as this process has it.
std::vector<ResourceLimit> locked_memory_limits(std::int64_t bytes);

}  // namespace ultramarine::launcher
