// Calendar months of a time zone: where the months that limits count in begin and end. The only file that knows time zones; what it says is
// journaled (PeriodStarted), so that a replay needs none.
#pragma once

#include <string>

#include "scheduler/model/time.h"

namespace ultramarine::server {

/// [start, end)
struct Month {
  Time start, end;
};

/// Whether the system's time zone database has it.
bool is_time_zone(const std::string& zone);

/// The month that `now` lies in, as clocks show it in that zone. Throws std::runtime_error for a zone that is none.
Month month_of(Time now, const std::string& zone);

}  // namespace ultramarine::server
