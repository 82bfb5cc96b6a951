// History for people, a job's and the cluster's: entries of the journal as one sentence each, who did what when and
// why. Nobody parses the sentences; programs read `type`.
#pragma once

#include <functional>
#include <vector>

#include "scheduler/api/backend.h"
#include "scheduler/protocol/api_messages.h"
#include "scheduler/protocol/page_messages.h"

namespace ultramarine::api {

/// What these entries mean for the jobs (one, or all elements of an array: then each sentence says which), in order; what they mean for
/// others is left out. `all` false: without commands, paths and details, as for strangers.
std::vector<protocol::EventView> told(const State& state, const std::vector<const Job*>& jobs, const std::vector<PastEntry>& entries, bool all);

/// What these entries mean for the cluster, in order: of jobs what somebody who isn't their owner wants to know
/// (submitted, started, held, failed, ended ...), in the words of their own lists; of nodes, reservations, favours,
/// cluster file and policy what changed. `may_see`: whose commands, paths and details.
std::vector<protocol::PastView> told_of_cluster(const State& state, const std::vector<PastEntry>& entries,
                                                const std::function<bool(const Job&)>& may_see);

}  // namespace ultramarine::api
