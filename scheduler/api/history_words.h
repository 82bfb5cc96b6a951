// A job's history for people: entries of the journal as one sentence each, who did what when and why. Nobody parses the sentences; programs
// read `type`.
#pragma once

#include <vector>

#include "scheduler/api/backend.h"
#include "scheduler/protocol/api_messages.h"

namespace ultramarine::api {

/// What these entries mean for the jobs (one, or all elements of an array: then each sentence says which), in order; what they mean for
/// others is left out. `all` false: without commands, paths and details, as for strangers.
std::vector<protocol::EventView> told(const State& state, const std::vector<const Job*>& jobs, const std::vector<PastEntry>& entries, bool all);

}  // namespace ultramarine::api
