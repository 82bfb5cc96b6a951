// Names of other sites: scripts written elsewhere ask for partitions, accounts, QOS, types of GPUs, features and nodes that are called otherwise here. The
// cluster file's [names] says what they mean; with strict_names nothing is mapped.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "scheduler/core/scheduler.h"

namespace ultramarine::core {

/// Puts our names in the place of those that are not known: an alias, our own name in other letters, then the alias `*`. A name for which
/// none of them helps stays as it is. A feature or a node whose alias is "" is left out; a feature
/// that is a GPU type here becomes one. One warning for each name that means something else now.
void map_names(const ClusterConfig& cluster, JobSpec& spec, std::vector<std::string>& warnings);

/// A type of GPU that is neither known nor mapped is refused.
std::optional<Refusal> check_gpu_type(const ClusterConfig& cluster, const JobSpec& spec);

}  // namespace ultramarine::core
