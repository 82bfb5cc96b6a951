// CPU time of a process and all it started, from /proc. Best effort: a child that ended and was waited for counts, one that ends
// between the reads may be missed until its parent has waited for it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "scheduler/model/time.h"

namespace ultramarine::devices {

/// User and system time of `pid`, its waited-for children and its living descendants. nullopt when there is no such process.
std::optional<Duration> process_cpu_time(std::int64_t pid);

/// utime + stime + cutime + cstime of one line of /proc/<pid>/stat, in clock ticks; nullopt when malformed. The name in parentheses may
/// hold blanks and parentheses.
std::optional<std::int64_t> cpu_ticks_of_stat(const std::string& line);

}  // namespace ultramarine::devices
