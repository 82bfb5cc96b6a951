// Why a job that waits does not run now, as the plan's lines say it: how much is free for it, what of devices and reservations keeps it, which date it
// waits for. Looks at the present; what the calendar says is told to it. Changes nothing.
#pragma once

#include <utility>
#include <vector>

#include "scheduler/core/rooms.h"
#include "scheduler/core/roster.h"
#include "scheduler/model/plan.h"

namespace ultramarine::core {

class Reasons {
 public:
  /// `rooms`: what is free now; both are looked at when a reason is asked for.
  Reasons(Roster& roster, const Rooms& rooms, Time now) : roster_(roster), rooms_(rooms), now_(now) {}

  /// Whose it is, what it asks for, and how much of that is free now. O(nodes).
  PlannedJob first_line(const Candidate& waits) const;
  /// What of devices and reservations keeps it from running now. O(nodes).
  void explain(const Candidate& waits, Reason& reason) const;
  /// Of a job that waits for a date of its own: to begin, or for its reservation. False: it doesn't.
  bool waits_for_date(const Candidate& waits, Reason& reason) const;

 private:
  std::int64_t free_in(const ClassView& view, std::size_t index, const JobSpec& spec) const;
  bool is_open(const Candidate& waits, std::size_t node) const;

  Roster& roster_;
  const Rooms& rooms_;
  const Time now_;
};

/// It waits because it would not be over by its deadline, which is named.
void wait_for_deadline(const Candidate& waits, Reason& reason);
/// Where its account is over its soft cap, that is why, unless a reservation keeps it.
void say_if_borrower(const Candidate& waits, Reason& reason);
/// Of the stays that end on its devices before it (end, whose) those that it waits for: at most five, earliest end first. None, when it is a date or a
/// limit that makes room at `start`, and nobody's end.
std::vector<JobId> first_of(std::vector<std::pair<Time, JobId>> waits_for, Time start);

}  // namespace ultramarine::core
