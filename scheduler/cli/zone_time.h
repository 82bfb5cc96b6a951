// Clock time in a named time zone, from the system's tzdata. A zone that this machine doesn't know is taken for UTC.
#pragma once

#include <string>
#include <vector>

#include "scheduler/model/time.h"

namespace ultramarine::cli {

/// By strftime's letters: "%H:%M".
std::string zone_time(Time time, const std::string& zone, const char* format);
/// The instants of [start, end) at which the zone's clocks show a whole multiple of `step`, counted from midnight:
/// ascending, also where clocks are changed. Of several days: counted from 1970.
std::vector<Time> zone_marks(Time start, Time end, Duration step, const std::string& zone);

}  // namespace ultramarine::cli
