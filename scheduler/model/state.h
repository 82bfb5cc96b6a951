// The scheduler's whole durable state: what folding the journal gives. A plain value: copied for questions, written as a
// snapshot, hashed to prove that a replay met the same state.
#pragma once

#include <boost/describe.hpp>
#include <map>
#include <string>
#include <vector>

#include "scheduler/model/cluster.h"
#include "scheduler/model/job.h"
#include "scheduler/model/node.h"

namespace ultramarine {

struct State {
  ClusterConfig cluster;
  PolicyConfig policy;
  std::int64_t next_job = 1;
  std::int64_t rounds = 0;                             // that decided something
  std::map<std::string, Node> nodes;                   // by name
  std::map<JobId, Job> jobs;                           // all that are kept, ended ones too
  std::map<std::string, JobId> request_keys;           // "uid:key" -> the job it made
  std::map<std::string, std::int64_t> allocated_gpu_ms;  // account -> GPU-milliseconds held, of ended attempts
  std::vector<JobId> awaiting_dependencies;              // jobs that wait for others to start or end, ascending
  bool operator==(const State&) const = default;
};
BOOST_DESCRIBE_STRUCT(State, (), (cluster, policy, next_job, rounds, nodes, jobs, request_keys, allocated_gpu_ms, awaiting_dependencies))

}  // namespace ultramarine
