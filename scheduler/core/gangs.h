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

/// The part of an attempt's allocation that a gang of `ultra run` is for: those of its nodes that it names, and the first so many of them.
Allocation nodes_of_gang(const GangSpec& spec, const Allocation& attempt);

/// As in JobSpec, over `gang_allocation`: the gang's, else the job's. A job's number of ranks is meant for all of its nodes: a gang on some of
/// them has what these have of it.
struct RankNumbers {
  std::int64_t ranks = 0, ranks_per_node = 0;
};
RankNumbers rank_numbers(const Job& job, const Attempt& attempt, std::int64_t gang);

/// The part of the attempt's allocation that a gang's ranks are numbered along: a script's first node; else the nodes that get a rank.
Allocation gang_allocation(const Job& job, const Attempt& attempt, std::int64_t gang);

/// How many ranks the gang has on each node of its `gang_allocation`.
std::vector<std::int64_t> gang_ranks(const Job& job, const Attempt& attempt, std::int64_t gang);

/// Whether another gang may start now: inside a script (`ultra run`), or with `beside_ranks` beside any ranks that have started (`ultra exec`), unless they
/// have ended or are being stopped. In a script also before its start was recorded: its first words may be faster than the report that it runs.
bool takes_gangs(const Job& job, bool beside_ranks = false);

/// The number of that gang.
std::int64_t next_gang(const Attempt& attempt);

/// Whether the ranks of this gang are to end: because the job is being stopped, or (gangs of `ultra run`) because it failed, somebody
/// stopped it, or the script has ended.
bool is_being_stopped(const Job& job, const Attempt& attempt, std::int64_t gang);

/// How long its processes may take between SIGTERM and SIGKILL: what the job asked for, if there is anything to save. Ranks whose gang is broken
/// only wait for each other.
Duration stop_grace(const TimeoutsConfig& timeouts, const Job& job, const Attempt& attempt, std::int64_t gang);

/// What asks the processes of a job that will run again for a checkpoint, if it is not SIGTERM (--signal); 0: nothing does.
std::int64_t checkpoint_signal(const Job& job);

/// Whether commands and reports of this gang still count: its attempt is open, it exists there and has not finished.
bool is_open_gang(const State& state, const GangKey& key);

}  // namespace ultramarine::core
