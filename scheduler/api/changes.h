// What a new cluster file or policy changes, one line for each thing, for people.
#pragma once

#include <string>
#include <vector>

#include "scheduler/model/state.h"
#include "scheduler/protocol/config.h"

namespace ultramarine::api {

/// Nodes, partitions, accounts, QOS, roles, names and all else that differs from what `before` runs with; with what becomes of jobs. Empty:
/// nothing.
std::vector<std::string> changes(const State& before, const ClusterConfig& cluster, const PolicyConfig& policy);
/// The same of [metrics].
std::vector<std::string> changes(const protocol::MetricsSection& before, const protocol::MetricsSection& after);

}  // namespace ultramarine::api
