// Whether a request can be accepted, before it becomes an event: defaults filled in, or the field that is wrong and the remedy.
#pragma once

#include <optional>
#include <variant>

#include "scheduler/core/scheduler.h"

namespace ultramarine::core {

std::variant<JobSpec, Refusal> accept_request(const ClusterConfig& cluster, JobSpec spec, const Actor& actor);

/// Why this cluster can never run a well-formed request for resources in that partition; nullopt: it can.
std::optional<Refusal> impossible_resources(const ClusterConfig& cluster, const PartitionConfig& partition, const Resources& resources);

}  // namespace ultramarine::core
