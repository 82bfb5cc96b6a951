// When there is something to tell: which entries of the journal are the start, the end, the failure, the requeue or the
// delay of a job, and when a running job has used so much of its time limit. Pure. Doesn't know who wants to hear of
// it.
#pragma once

#include <optional>
#include <set>
#include <vector>

#include "scheduler/model/event.h"
#include "scheduler/model/notification.h"
#include "scheduler/model/state.h"

namespace ultramarine::notifier {

struct Occasion {
  NotificationEvent event = NotificationEvent::begin;
  JobId job;
  Time at_ms;
  std::int64_t number = 0;               // the attempt that it is about; of `delayed` the bill
  bool of_array = false;                 // it is about all of the job's array; else about this job alone
  std::optional<MovedStart> moved = {};  // of `delayed`
};

/// What `entry`, which came at `now`, gives occasion for; `after` is the state with it. Of an array's element there may
/// be both: one occasion for the element, one for the array (`of_array`) when this was its first start, its first
/// requeue or its last end.
std::vector<Occasion> occasions_of(const Entry& entry, Time now, const State& after);

/// Shares of their time limits that running jobs have used up after `after` and until `until`, in the order of their
/// instants. `active`: the jobs that hold devices. A trial has none.
std::vector<Occasion> used_up_between(const State& state, const std::set<JobId>& active, Time after, Time until);
/// When the next such instant is, after `after`, of jobs that want to be told.
std::optional<Time> next_used_up(const State& state, const std::set<JobId>& active, Time after);

}  // namespace ultramarine::notifier
