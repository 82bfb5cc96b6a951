// The gangs of one attempt: how many there are, which nodes each spans, whether another may join, whether one is being stopped. Gang 1
// is the job itself (of a script: the script, on the first node); the others were asked for by `ultra run` inside it.
#pragma once

#include <vector>

#include "scheduler/model/gang_report.h"
#include "scheduler/model/state.h"

namespace ultramarine::core {

/// The record of a gang, or nullptr: gang 1 has none until it started, failed or finished.
const Gang* find_gang(const Attempt& attempt, std::int64_t gang);

/// Gang 1 and all that were asked for, ascending.
std::vector<std::int64_t> gangs_of(const Attempt& attempt);

/// The part of the attempt's allocation that a gang's ranks are numbered along: a script's first node; else the nodes that get a rank.
Allocation gang_allocation(const Job& job, const Attempt& attempt, std::int64_t gang);

/// How many ranks the gang has on each node of its `gang_allocation`.
std::vector<std::int64_t> gang_ranks(const Job& job, const Attempt& attempt, std::int64_t gang);

/// Whether `ultra run` may start another gang now: inside a script that has not ended and is not being stopped. Also before its start was
/// recorded: the script's first words may be faster than the report that it runs.
bool takes_gangs(const Job& job);

/// The number of that gang.
std::int64_t next_gang(const Attempt& attempt);

/// Whether the ranks of this gang are to end: because the job is being stopped, or (gangs of `ultra run`) because it failed, somebody
/// stopped it, or the script has ended.
bool is_being_stopped(const Job& job, const Attempt& attempt, std::int64_t gang);

/// Whether commands and reports of this gang still count: its attempt is open, it exists there and has not finished.
bool is_open_gang(const State& state, const GangKey& key);

}  // namespace ultramarine::core
