// The plan's reasons in plain words for people. Core gives data, this file gives sentences; nobody parses them.
#pragma once

#include <string>

#include "scheduler/model/plan.h"
#include "scheduler/model/state.h"

namespace ultramarine::api {

/// Why the job waits and when it is expected to start, in one or two sentences: "Waits for 16 GPUs; 4 are free. Expected to start at
/// 14:05 UTC (in 12m) when job 12 (train, lab-a) ends." Without `with_users` nobody's name is in it.
std::string why(const PlannedJob& planned, const State& state, Time now, bool with_users = true);

/// `at 14:05 UTC (in 12m)`; with the date when it is more than a day away.
std::string when(Time instant, Time now);

}  // namespace ultramarine::api
