// What the accounts got out of the cluster in a span of time, and what it cost: sums over the jobs of a state. Each GPU-millisecond that an
// attempt held is charged to one account and to the month that it lies in, so that all charges together are what was allocated.
#pragma once

#include <string>
#include <vector>

#include "scheduler/model/report.h"
#include "scheduler/model/state.h"

namespace ultramarine::core {

/// A job that failed after it had run for so long at most, all attempts together, failed early.
constexpr Duration early_failure = minutes(10);

struct Report {
  std::vector<AccountReport> accounts;  // as the tree of accounts: each before those under it; then those that are in it no more, by name
  AccountReport total;                  // of these
};

/// Of [start, end); what is held still is held until `now`. `account`: only this one and all under it; "": all. O(all jobs).
Report report(const State& state, Time start, Time end, Time now, const std::string& account = "");

/// GPUs of the attempt x the time for which it held them: until `now` if it still does.
std::int64_t held_gpu_ms(const Attempt& attempt, Time now);

}  // namespace ultramarine::core
