// What a new cluster file or policy changes, one line for each thing, for people.
#pragma once

#include <string>
#include <vector>

#include "scheduler/model/state.h"

namespace ultramarine::api {

/// Nodes, partitions, accounts, QOS, roles, names and all else that differs from what `before` runs with; with what becomes of jobs. Empty:
/// nothing.
std::vector<std::string> changes(const State& before, const ClusterConfig& cluster, const PolicyConfig& policy);

}  // namespace ultramarine::api
