// The exit code that a shell would see if the job were a command: what `ultra wait` and `submit --wait` return.
#pragma once

#include <cstdint>
#include <optional>

#include "scheduler/model/job.h"

namespace ultramarine::api {

/// nullopt while the job has not ended. 0 succeeded; the failing rank's own code, or 128 + signal; 143 cancelled; 143 or 137 when its time
/// was over and it took SIGTERM or SIGKILL to end it (124 when it ended itself); 126 and 127 command not permitted or not found; 125 our
/// system failed it.
std::optional<std::int64_t> exit_code(const Job& job);

/// The same of one gang, nullopt until it has finished. Of one that was stopped: the highest code of its ranks, 143 when it has none.
std::optional<std::int64_t> exit_code(const Gang& gang);

}  // namespace ultramarine::api
