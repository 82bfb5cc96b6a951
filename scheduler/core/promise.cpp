// See promise.h.
#include "scheduler/core/promise.h"

#include <algorithm>
#include <set>
#include <utility>

namespace ultramarine::core {

std::optional<Promise> Promise::to(const Candidate& first, Time now, std::vector<Held> held, const Rooms& rooms, const LimitCalendar& limits) {
  std::sort(held.begin(), held.end(), [](const Held& a, const Held& b) { return a.end < b.end; });
  std::set<Time> times;
  for (const Held& one : held) times.insert(one.end);
  if (first.view->closed)
    for (const std::size_t node : first.view->nodes)
      for (const Interval& closed : (*first.view->closed)[node])
        if (closed.end > now) times.insert(closed.end);
  Rooms then = rooms;
  LimitCalendar room_in_limits = limits;
  for (auto [next, at] = std::pair{held.begin(), times.begin()}; at != times.end(); ++at) {
    for (; next != held.end() && next->end <= *at; ++next) then.give_back(next->node, next->device, next->stay);
    if (!then.has_room(request_of(first, *at))) continue;
    const Time allowed = room_in_limits.earliest(*first.job, first.gpus, *at, first.stay).at;
    if (allowed == *at) return Promise(first, now, *at, std::move(then), std::move(room_in_limits));
    times.insert(allowed);
  }
  return std::nullopt;
}

Promise::Promise(const Candidate& first, Time now, Time at, Rooms rooms, LimitCalendar limits)
    : first_(first), now_(now), at_(at), rooms_(std::move(rooms)), limits_(std::move(limits)) {
  limits_.take(*first_.job, first_.gpus, at_, at_ + first_.stay);
}

bool Promise::is_kept_by(const Candidate& starts, const Fit& fit) {
  if (limits_.earliest(*starts.job, starts.gpus, now_, starts.stay).limit) return false;
  if (now_ + starts.stay > at_) {
    const Needs needs = needs_of(starts.job->spec);
    rooms_.take(fit, needs);
    if (!rooms_.has_room(request_of(first_, at_))) {
      rooms_.give_back(fit, needs);
      return false;
    }
  }
  limits_.take(*starts.job, gpus_of(fit), now_, now_ + starts.stay);
  return true;
}

}  // namespace ultramarine::core
