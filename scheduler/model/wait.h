// What a job waited for, split by cause: its wait ledger. Plain values; core/wait_ledger makes them.
#pragma once

#include <boost/describe.hpp>
#include <string>

#include "scheduler/model/time.h"

namespace ultramarine {

/// Why some of a wait was as long as it was. One interval has one cause: the first thing in the policy's order that kept the job from running.
///  running_job    devices that the job `job` of account `account` held
///  job_ahead      devices that the queued job `job` of account `account`, which is ahead in the order, was to get or got meanwhile
///  boost          as job_ahead or running_job, where `job` was ahead by the boost with the bill `bill` alone
///  shape          enough devices were free, but in another shape than the one asked for
///  hold           somebody held it (`detail`: who)
///  dependency     it waited for the job `job`, on which it depends
///  array_limit    no more elements of its own array might run
///  begin_time     it asked itself not to start before a date
///  restart_delay  it had failed, and was to be tried again later
///  limit          a limit was used up (`detail`: whose)
///  soft_cap       it would have borrowed beyond a soft cap (`detail`: whose)
///  reservation    nodes were kept for a reservation (`detail`: its name)
///  nodes          nodes that it needs were silent, down or drained (`detail`: which)
///  deadline       it was waiting for an earlier start, to end by its deadline
///  impossible     no state of the cluster could run it
///  scheduler      nothing but the scheduler's own time: between a submission and the first look at it, and between the decision's causes and the decision
BOOST_DEFINE_FIXED_ENUM_CLASS(WaitCause, std::uint8_t, running_job, job_ahead, boost, shape, hold, dependency, array_limit, begin_time, restart_delay,
                              limit, soft_cap, reservation, nodes, deadline, impossible, scheduler)

/// All time of one job's wait with the same cause and the same names.
struct WaitPart {
  WaitCause cause = WaitCause::scheduler;
  JobId job;            // 0: none
  std::string account;  // of that job
  std::string detail;
  std::int64_t bill = 0;  // with cause boost
  Duration time_ms;
  bool operator==(const WaitPart&) const = default;
};
BOOST_DESCRIBE_STRUCT(WaitPart, (), (cause, job, account, detail, bill, time_ms))

}  // namespace ultramarine
