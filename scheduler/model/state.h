// The scheduler's whole durable state: what folding the journal gives. A plain value: copied for questions, written as a
// snapshot, hashed to prove that a replay met the same state.
#pragma once

#include <boost/describe.hpp>
#include <map>
#include <string>
#include <vector>

#include "scheduler/model/bill.h"
#include "scheduler/model/cluster.h"
#include "scheduler/model/job.h"
#include "scheduler/model/node.h"
#include "scheduler/model/reservation.h"

namespace ultramarine {

/// The GPU time of a user's ended attempts in an account, with the past fading by the policy's half-life. In two parts, so that what counts at a
/// tick of the priorities is the same for all of the time until the next one, whatever ends meanwhile.
struct Usage {
  Time since_ms;                  // when the user's first job of that account was submitted
  std::int64_t gpu_ms = 0;        // held until the tick `as_of_ms`, as it counted then
  Time as_of_ms;
  std::int64_t later_gpu_ms = 0;  // held after that tick, as it counted at `later_as_of_ms`
  Time later_as_of_ms;
  bool operator==(const Usage&) const = default;
};
BOOST_DESCRIBE_STRUCT(Usage, (), (since_ms, gpu_ms, as_of_ms, later_gpu_ms, later_as_of_ms))

/// The calendar month that limits per month count in; `end_ms` 0: nobody said so far.
struct Period {
  Time start_ms, end_ms;
  /// GPU-milliseconds of ended attempts, held since the period's start, thrice: "account lab-a alice", "qos urgent alice" and
  /// "partition main alice" (core/limits makes the keys and the sums)
  std::map<std::string, std::int64_t> held_gpu_ms;
  bool operator==(const Period&) const = default;
};
BOOST_DESCRIBE_STRUCT(Period, (), (start_ms, end_ms, held_gpu_ms))

struct State {
  ClusterConfig cluster;
  PolicyConfig policy;
  std::int64_t next_job = 1;
  std::int64_t rounds = 0;                             // that decided something
  std::map<std::string, Node> nodes;                   // by name
  std::map<JobId, Job> jobs;                           // all that are kept, ended ones too
  std::map<std::string, JobId> request_keys;           // "uid:key" -> the job it made
  /// Names of environment variables, once for all jobs that came with the same: by the number of the first of them.
  std::map<JobId, std::vector<std::string>> environment_names;
  std::map<std::string, std::int64_t> allocated_gpu_ms;  // account -> GPU-milliseconds held, of ended attempts
  std::vector<JobId> awaiting_dependencies;              // jobs that wait for others to start or end, ascending
  std::map<std::string, std::map<std::string, Usage>> usage;  // account -> user -> of all who ever submitted
  std::map<std::string, Reservation> reservations;            // by name
  Period period;
  std::vector<Bill> bills;             // of all favours that were granted; the first has the number 1
  bool operator==(const State&) const = default;
};
BOOST_DESCRIBE_STRUCT(State, (), (cluster, policy, next_job, rounds, nodes, jobs, request_keys, environment_names, allocated_gpu_ms, awaiting_dependencies, usage,
                                  reservations, period, bills))

}  // namespace ultramarine
