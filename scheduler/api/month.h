// Calendar months of a time zone: where the months that limits and reports count in begin and end. The only file that knows time zones; what it
// says of limits is journaled (PeriodStarted), so that a replay needs none.
#pragma once

#include <optional>
#include <string>

#include "scheduler/model/time.h"

namespace ultramarine::api {

/// [start, end)
struct Month {
  Time start, end;
};

/// Whether the system's time zone database has it.
bool is_time_zone(const std::string& zone);

/// The month that `now` lies in, as clocks show it in that zone. Throws std::runtime_error for a zone that is none.
Month month_of(Time now, const std::string& zone);

/// "2026-11": the month that `time` lies in.
std::string month_name(Time time, const std::string& zone);
/// The month of that name; nullopt when it is none: four digits, a dash and 01 to 12, from 1970-01 on.
std::optional<Month> named_month(const std::string& name, const std::string& zone);

}  // namespace ultramarine::api
