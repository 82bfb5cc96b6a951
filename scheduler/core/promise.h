// What EASY promises the first job that has to wait: from a certain time on enough is free for it, and its limits have room, as far as can be seen.
// Whoever would overtake it may do so only if that stays true. (Lifka 1995; per node, not one count.)
#pragma once

#include <optional>
#include <vector>

#include "scheduler/core/limits.h"
#include "scheduler/core/rooms.h"
#include "scheduler/core/roster.h"

namespace ultramarine::core {

/// A device that is given back at a stay's end.
struct Held {
  Time end;
  std::size_t node = 0;
  std::int64_t device = 0;
  Stay stay;
};

class Promise {
 public:
  /// For the earliest time that can be seen: ends of the stays that are `held`, and of reservations, make room. `rooms` and `limits` are those of
  /// `now`. nullopt: no such time can be seen.
  static std::optional<Promise> to(const Candidate& first, Time now, std::vector<Held> held, const Rooms& rooms, const LimitCalendar& limits);

  /// Whether the first can still have it when this one starts now; if so, that is noted.
  bool is_kept_by(const Candidate& starts, const Fit& fit);

 private:
  Promise(const Candidate& first, Time now, Time at, Rooms rooms, LimitCalendar limits);

  Candidate first_;
  Time now_, at_;
  Rooms rooms_;           // as they will be then
  LimitCalendar limits_;  // with it from then on
};

}  // namespace ultramarine::core
