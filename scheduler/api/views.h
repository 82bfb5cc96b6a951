// Answers made from a snapshot: jobs, nodes, the cluster, as the API shows them to one caller.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "scheduler/api/caller.h"
#include "scheduler/api/snapshot.h"
#include "scheduler/protocol/api_messages.h"

namespace ultramarine::api {

struct JobFilter {
  std::set<JobState> states;  // empty: all that have not ended
  std::string user;           // name or number; "" = all
  std::string account;        // "" = all
  bool ended_too = false;
};

protocol::JobView job_view(const Snapshot& snapshot, const Job& job, const Caller& caller, std::int64_t scheduler_uid);
/// Those that hold devices first, then queued ones in the order of the plan, then ended ones, newest first.
protocol::JobList job_list(const Snapshot& snapshot, const JobFilter& filter, const Caller& caller, std::int64_t scheduler_uid);
protocol::NodeList node_list(const Snapshot& snapshot);
protocol::ClusterView cluster_view(const Snapshot& snapshot, const std::string& version);

}  // namespace ultramarine::api
