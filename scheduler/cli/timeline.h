// The past and the planned schedule as data: which job held GPUs when, holds them now, and is planned for when. Made
// from the API's lists; the same as `ultra timeline --json`. No I/O.
#pragma once

#include <boost/describe.hpp>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/protocol/api_messages.h"

namespace ultramarine::cli {

/// `ended`: GPUs were held. `held`: they are, until the time limit at most. `planned`: they will be.
BOOST_DEFINE_FIXED_ENUM_CLASS(BarKind, std::uint8_t, ended, held, planned)

/// A stay on an allocation, [start_ms, end_ms), from the decision to start it.
struct TimelineBar {
  BarKind kind = BarKind::ended;
  Time start_ms, end_ms;
  Allocation allocation;
};
BOOST_DESCRIBE_STRUCT(TimelineBar, (), (kind, start_ms, end_ms, allocation))

struct TimelineJob {
  std::string job;  // as people write it: 12, or 12_3
  std::string name, account, user;
  JobState state = JobState::queued;
  std::int64_t gpus = 0;
  std::vector<TimelineBar> bars;  // by start
  std::string why;                // while it waits
};
BOOST_DESCRIBE_STRUCT(TimelineJob, (), (job, name, account, user, state, gpus, bars, why))

/// What lies in [start_ms, end_ms). A job that waits without a planned start is in `unplanned`, and in `jobs` too when
/// it ran in this time.
struct Timeline {
  Time now_ms;
  std::string time_zone;  // the cluster's
  Time start_ms, end_ms;
  std::vector<TimelineJob> jobs;  // as the queue shows them; those that are planned for later, too
  std::vector<TimelineJob> unplanned;
  std::vector<Reservation> reservations;  // by start
};
BOOST_DESCRIBE_STRUCT(Timeline, (), (now_ms, time_zone, start_ms, end_ms, jobs, unplanned, reservations))

/// How much to show on either side of now. Absent: as far as there is something, but at least a minute, and at most
/// these.
struct TimelineLengths {
  std::optional<Duration> past, next;
};
constexpr Duration usual_past = hours(2), usual_next = hours(24), least_shown = minutes(1);

Timeline timeline_of(const protocol::JobList& jobs, const std::vector<Reservation>& reservations,
                     const std::string& time_zone, const TimelineLengths& lengths);

}  // namespace ultramarine::cli
