// Requests that this cluster can never serve, whatever is free: which field asks for too much, and what would be possible.
#pragma once

#include <optional>

#include "scheduler/core/scheduler.h"

namespace ultramarine::core {

/// A feature that no node has, a node that there is not or that is not of the partition; nullopt: all names are known.
std::optional<Refusal> unknown_nodes(const ClusterConfig& cluster, const PartitionConfig& partition, const JobSpec& spec);

/// Why no state of the cluster can hold a well-formed request in that partition; nullopt: some state can.
std::optional<Refusal> impossible_request(const ClusterConfig& cluster, const PartitionConfig& partition, const JobSpec& spec);

}  // namespace ultramarine::core
