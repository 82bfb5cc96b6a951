// The shape of a request: how its GPUs are divided over nodes, and whether a set of nodes can hold it at all. The one idea: a
// request is some equal parts, each on a node of its own, plus at most one smaller part on one more node.
// Knows the cluster's configuration; knows nothing of time or of who holds what.
#pragma once

#include <compare>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/model/cluster.h"
#include "scheduler/model/job.h"

namespace ultramarine::core {

struct Shape {
  std::int64_t parts = 0;             // equal parts, each on a node of its own
  std::int64_t devices_per_part = 0;
  std::int64_t remainder = 0;         // devices of the smaller part, on one more node; 0 = there is none; less than devices_per_part if parts > 0
  friend auto operator<=>(const Shape&, const Shape&) = default;
};

/// `gpus` becomes whole nodes of `gpus_per_node_max` (the largest node of the partition) plus one part with the remainder;
/// `nodes` x `gpus_per_node` is taken as it is.
Shape shape_of(const Resources& resources, std::int64_t gpus_per_node_max);

/// Whether nodes with so many devices (each entry is one node) can hold the shape. O(nodes).
bool fits(const Shape& shape, const std::vector<std::int64_t>& devices);

/// Order of node names that reads runs of digits as numbers: node2 comes before node10.
bool comes_before(std::string_view left, std::string_view right);

/// A partition of this name, or nullptr.
const PartitionConfig* find_partition(const ClusterConfig& cluster, std::string_view name);

/// The configured nodes of a partition, in node order. Names that the cluster doesn't have are left out.
std::vector<const NodeConfig*> nodes_of(const ClusterConfig& cluster, const PartitionConfig& partition);

}  // namespace ultramarine::core
