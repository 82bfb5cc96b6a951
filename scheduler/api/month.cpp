// See month.h.
#include "scheduler/api/month.h"

#include <date/tz.h>

#include <chrono>
#include <stdexcept>

namespace ultramarine::api {

namespace {

/// The first instant of a month. Where clocks skip or repeat midnight, the earliest instant of that day.
Time start_of(date::year_month month, const date::time_zone& zone) {
  const date::local_days day{month / 1};
  const auto start = zone.to_sys(date::local_time<std::chrono::milliseconds>(day), date::choose::earliest);
  return {start.time_since_epoch().count()};
}

date::year_month year_month_of(Time time, const date::time_zone& zone) {
  const auto local = zone.to_local(date::sys_time<std::chrono::milliseconds>(std::chrono::milliseconds(time.ms)));
  const date::year_month_day day{date::floor<date::days>(local)};
  return {day.year(), day.month()};
}

Month month_in(const date::time_zone& zone, date::year_month month) { return {start_of(month, zone), start_of(month + date::months(1), zone)}; }

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
  return month_in(known, year_month_of(now, known));
}

std::string month_name(Time time, const std::string& zone) {
  return date::format("%Y-%m", year_month_of(time, *date::locate_zone(zone)));
}

std::optional<Month> named_month(const std::string& name, const std::string& zone) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (name.size() != 7 || name[4] != '-') return std::nullopt;
  for (const std::size_t place : {0, 1, 2, 3, 5, 6})
    if (!is_digit(name[place])) return std::nullopt;
  const date::year_month month{date::year(std::stoi(name.substr(0, 4))), date::month(static_cast<unsigned>(std::stoi(name.substr(5))))};
  if (!month.ok() || month.year() < date::year(1970)) return std::nullopt;
  return month_in(*date::locate_zone(zone), month);
}

}  // namespace ultramarine::api
