#include "scheduler/cli/zone_time.h"

#include <date/tz.h>

#include <chrono>
#include <stdexcept>

namespace ultramarine::cli {
namespace {

const date::time_zone& zone_named(const std::string& name) {
  try {
    return *date::locate_zone(name);
  } catch (const std::runtime_error&) {
    return *date::locate_zone("UTC");
  }
}

using Instant = date::sys_time<std::chrono::milliseconds>;
Instant instant_of(Time time) { return Instant(std::chrono::milliseconds(time.ms)); }

}  // namespace

std::string zone_time(Time time, const std::string& zone, const char* format) {
  // Whole seconds: %S would show fractions, too.
  return date::format(format, zone_named(zone).to_local(date::floor<std::chrono::seconds>(instant_of(time))));
}

std::vector<Time> zone_marks(Time start, Time end, Duration step, const std::string& zone) {
  const date::time_zone& known = zone_named(zone);
  const std::int64_t local_start = known.to_local(instant_of(start)).time_since_epoch().count();
  std::vector<Time> marks;
  // A step before: clocks that are set back show the same twice, and the first time may be the one that counts.
  for (std::int64_t local = local_start / step.ms * step.ms - step.ms;; local += step.ms) {
    const date::local_time<std::chrono::milliseconds> shown{std::chrono::milliseconds(local)};
    const Time at{known.to_sys(shown, date::choose::earliest).time_since_epoch().count()};
    if (at >= end) return marks;
    const bool exists = known.to_local(instant_of(at)) == shown;  // not where clocks skip it
    if (exists && at >= start && (marks.empty() || at > marks.back())) marks.push_back(at);
  }
}

}  // namespace ultramarine::cli
