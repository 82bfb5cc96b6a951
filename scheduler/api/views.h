// Answers made from a snapshot: jobs, nodes, the cluster, as the API shows them to one caller.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "scheduler/api/caller.h"
#include "scheduler/api/job_name.h"
#include "scheduler/api/snapshot.h"
#include "scheduler/core/priority.h"
#include "scheduler/model/gang_report.h"
#include "scheduler/protocol/api_messages.h"
#include "scheduler/protocol/codec.h"

namespace ultramarine::api {

struct JobFilter {
  std::set<JobState> states;  // empty: all that have not ended
  std::string user;           // name or number; "" = all
  std::string account;        // "" = all
  bool ended_too = false;
};

/// What `name` means (`jobs`, from named_jobs): one job, or an array as a whole.
protocol::JobView view_of(const Snapshot& snapshot, const JobName& name, const std::vector<const Job*>& jobs, const Caller& caller,
                          std::int64_t scheduler_uid);

/// A gang of the newest attempt that has one of that number.
struct NamedGang {
  GangKey key;
  const Attempt* attempt = nullptr;
  const Gang* record = nullptr;  // of gang 1: absent before it started
};
/// Throws Problem when there is none.
NamedGang named_gang(const Job& job, std::int64_t number);
protocol::GangView gang_view(const NamedGang& gang);

/// GPUs that it holds, held at last, or will get; those that it asks for where no place is known. They differ only when it has its nodes
/// whole. `planned`: its line of the plan, or nullptr.
std::int64_t gpus_of(const Job& job, const PlannedJob* planned);

/// What its place in the order is made of. nullopt: it doesn't wait, or the policy orders by something else. O(all jobs).
std::optional<protocol::PriorityOfJob> priority_of(const Snapshot& snapshot, const Job& job);

/// The same where the priorities are at hand: `priorities` are the state's.
std::optional<protocol::PriorityOfJob> priority_of(const core::Priorities& priorities, const State& state, const Job& job);

/// Without its priority.
protocol::JobView job_view(const Snapshot& snapshot, const Job& job, const Caller& caller, std::int64_t scheduler_uid);
/// The JSON text of a protocol::JobList: those that hold devices first, then queued ones in the order of the plan, then ended ones, newest first.
/// Written row by row: of a long queue a list of values takes longer to make than its text.
std::string job_list_text(const Snapshot& snapshot, const JobFilter& filter, const Caller& caller, std::int64_t scheduler_uid,
                          protocol::Members which);
protocol::NodeList node_list(const Snapshot& snapshot, const Caller& caller);
protocol::ClusterView cluster_view(const Snapshot& snapshot, const std::string& version);

}  // namespace ultramarine::api
