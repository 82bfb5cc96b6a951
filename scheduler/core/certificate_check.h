// Whether promises can still be kept after a round, by brute force: no planning, no calendar, no order. Every stay is an interval on each of its
// devices: of who runs, of who starts now, and of who was promised a start. Where no device has two of them at once, and no account, QOS, partition or user more
// GPUs than allowed at any instant, everybody can start when and where he was promised to. Shares no code with the planner, so that a mistake there isn't made here too.
#pragma once

#include <string>
#include <vector>

#include "scheduler/model/event.h"
#include "scheduler/model/plan.h"
#include "scheduler/model/state.h"

namespace ultramarine::core {

/// One sentence for each promise to a job ahead of one that the round starts which can't be kept any more; empty: all can. `state` and `promised` are those just
/// before the round. O(starts x jobs ahead x devices).
std::vector<std::string> broken_promises(const State& state, const Plan& promised, const Round& round);

}  // namespace ultramarine::core
