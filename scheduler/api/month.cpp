// See month.h.
#include "scheduler/server/month.h"

#include <date/tz.h>

#include <chrono>
#include <stdexcept>

namespace ultramarine::server {

namespace {

/// The first instant of a month. Where clocks skip or repeat midnight, the earliest instant of that day.
Time start_of(date::year_month month, const date::time_zone& zone) {
  const date::local_days day{month / 1};
  const auto start = zone.to_sys(date::local_time<std::chrono::milliseconds>(day), date::choose::earliest);
  return {start.time_since_epoch().count()};
}

}  // namespace

bool is_time_zone(const std::string& zone) {
  try {
    return date::locate_zone(zone) != nullptr;
  } catch (const std::runtime_error&) {
    return false;
  }
}

Month month_of(Time now, const std::string& zone) {
  const date::time_zone& known = *date::locate_zone(zone);
  const auto local = known.to_local(date::sys_time<std::chrono::milliseconds>(std::chrono::milliseconds(now.ms)));
  const date::year_month_day today{date::floor<date::days>(local)};
  const date::year_month month{today.year(), today.month()};
  return {start_of(month, known), start_of(month + date::months(1), known)};
}

}  // namespace ultramarine::server
