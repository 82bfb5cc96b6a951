// Replays as people and programs read them: a table with the policies side by side, CSV of every job, one JSON object.
#pragma once

#include <string>
#include <vector>

#include "scheduler/simulator/metrics.h"

namespace ultramarine::simulator {

/// One policy's replay.
struct Result {
  Summary summary;
  Replay replay;
};

/// What was replayed, and on what.
struct Setting {
  std::string trace, cluster, estimate;
  std::int64_t cluster_gpus = 0, rows = 0, bad_rows = 0;
};

std::string table_of(const Setting& setting, const std::vector<Result>& results);

/// Header id,submit_s,first_start_s,end_s,gpus,nodes,attempts, then a line for each job that the cluster took, in the trace's order; a job
/// that never ran has no start and no end.
std::string jobs_csv(const Trace& trace, const Replay& replay);

/// Header id,account,gpus,cause,job,of_account,detail,wait_s, then a line for each part of each wait; `job` is the id in the trace of the one that was
/// waited for, if there is one.
std::string waits_csv(const Trace& trace, const Replay& replay);

/// One line: setting, jobs that the cluster refused and why, and the summary of each policy.
std::string json_of(const Setting& setting, const Trace& trace, const std::vector<Result>& results);

/// The refused jobs by name, a few of them, each with the reason; "" when there are none.
std::string refusals_of(const Trace& trace, const Replay& replay);

}  // namespace ultramarine::simulator
