// Shims and ranks that still run under the agents of a local cluster, found by what they wrote down in their job
// folders (shim.pid and leftovers.json: scheduler/protocol/shim_messages.h). Shims outlive agents on purpose, so
// `cluster down` has to look for them.
#pragma once

#include <string>
#include <vector>

#include "scheduler/cli/daemon_process.h"

namespace ultramarine::cli {

/// `agents`: the folder with one state folder per agent. Shims, their descendants, processes that carry a gang's mark, and those in the
/// control groups that the agents noted down.
std::vector<Process> gang_leftovers(const std::string& agents);

/// The empty control groups of agents that are gone.
void remove_gang_groups(const std::string& agents);

}  // namespace ultramarine::cli
