// What the planner promises, and why a job waits: data, no words. The sentences are made in api/words.
#pragma once

#include <boost/describe.hpp>
#include <string>
#include <vector>

#include "scheduler/model/job.h"

namespace ultramarine {

/// Why a queued job does not run now.
///  starting_now     it can: the next round starts it
///  resources        too few GPUs are free
///  fragmentation    enough GPUs are free, but not in the shape asked for
///  priority         its GPUs are free, but starting it would delay a job that is ahead of it
///  nodes_missing    it would fit if nodes that are silent or down were back
///  never_fits       no state of this cluster can run it
///  held             somebody holds it
///  dependency       a job that it depends on has not come so far (waits_for names those)
///  dependency_never a job that it depends on ended otherwise: it can only be cancelled
///  array_limit      as many elements of its array run as may
BOOST_DEFINE_FIXED_ENUM_CLASS(ReasonCode, std::uint8_t, starting_now, resources, fragmentation, priority, nodes_missing, never_fits, held,
                              dependency, dependency_never, array_limit)

struct Reason {
  ReasonCode code = ReasonCode::resources;
  std::int64_t gpus_asked = 0;
  std::int64_t gpus_free = 0;         // on nodes that take new gangs, in the job's partition
  std::vector<JobId> waits_for;       // running or planned jobs whose end its planned start waits for; at most 5, earliest end first
  bool operator==(const Reason&) const = default;
};
BOOST_DESCRIBE_STRUCT(Reason, (), (code, gpus_asked, gpus_free, waits_for))

/// One line of the plan. `start_ms` absent: the job can't be planned (never_fits, nodes_missing, held, dependency, dependency_never).
struct PlannedJob {
  JobId job;
  std::int64_t position = 0;  // in the order, from 1
  std::optional<Time> start_ms;
  std::optional<Time> end_ms;  // start + time limit
  Allocation allocation;
  bool backfilled = false;     // starts now although a job ahead of it does not
  Reason reason;
  bool operator==(const PlannedJob&) const = default;
};
BOOST_DESCRIBE_STRUCT(PlannedJob, (), (job, position, start_ms, end_ms, allocation, backfilled, reason))

struct Plan {
  Time now_ms;
  std::vector<PlannedJob> jobs;  // every queued job, in the order of the policy
  bool operator==(const Plan&) const = default;
};
BOOST_DESCRIBE_STRUCT(Plan, (), (now_ms, jobs))

}  // namespace ultramarine
