// What the planner promises, and why a job waits: data, no words. The sentences are made in api/words.
#pragma once

#include <boost/describe.hpp>
#include <optional>
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
///  begin_time       it asked not to start before a time that is still to come (until_ms)
///  restart_delay    it failed, and is tried again after a while (until_ms)
///  deadline         it can't end by its deadline any more: it can only be cancelled
///  limit            a limit of its account, user, QOS or partition is used up (`limit` says which)
///  soft_cap         it would borrow beyond a soft cap, and jobs within theirs go first
///  reservation      nodes that it would fit on are kept for a reservation, or it waits for its own to begin (until_ms)
BOOST_DEFINE_FIXED_ENUM_CLASS(ReasonCode, std::uint8_t, starting_now, resources, fragmentation, priority, nodes_missing, never_fits, held,
                              dependency, dependency_never, array_limit, begin_time, deadline, limit, soft_cap, reservation, restart_delay)

/// Whose limit, and which: what it counts, how much of it is taken and how much there is. Of `gpus_per_job` and `max_time_ms` (and of the
/// others, when the job asks for more than there is) `used` is what the job asks for.
BOOST_DEFINE_FIXED_ENUM_CLASS(LimitScope, std::uint8_t, account, user, qos, partition)
BOOST_DEFINE_FIXED_ENUM_CLASS(LimitKind, std::uint8_t, gpus, jobs, gpu_hours, gpus_per_job, max_time_ms)
struct LimitReached {
  LimitScope scope = LimitScope::account;
  std::string name;             // of the account, QOS or partition; of a user "alice of lab-a", "alice in QOS urgent", "alice in partition main"
  LimitKind kind = LimitKind::gpus;
  std::int64_t used = 0, limit = 0;
  bool operator==(const LimitReached&) const = default;
};
BOOST_DESCRIBE_STRUCT(LimitReached, (), (scope, name, kind, used, limit))

struct Reason {
  ReasonCode code = ReasonCode::resources;
  std::int64_t gpus_asked = 0;
  std::int64_t gpus_free = 0;         // on nodes that take new gangs, in the job's partition
  std::vector<JobId> waits_for;       // running or planned jobs whose end its planned start waits for; at most 5, earliest end first
  std::optional<LimitReached> limit;  // with code limit and soft_cap
  std::optional<Time> until_ms;       // with code begin_time and reservation
  std::string reservation;            // its name, with code reservation
  bool operator==(const Reason&) const = default;
};
BOOST_DESCRIBE_STRUCT(Reason, (), (code, gpus_asked, gpus_free, waits_for, limit, until_ms, reservation))

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
