// How many ranks of a gang run on which node of its allocation. Both sides need the same answer: the node that starts them, and the
// scheduler that asks a node for the output of a rank.
#pragma once

#include <algorithm>
#include <vector>

#include "scheduler/model/job.h"

namespace ultramarine {

/// One number for each node of the allocation, in its order; 0 for nodes that this gang leaves alone (fewer ranks than nodes).
/// `ranks` > 0: so many in all, in blocks as even as can be, the first nodes get the rest (Slurm's block distribution); as many as there
/// are devices, and no number per node: one per device. Only `ranks_per_node` > 0: so many on each node. Neither: one per device. Ranks are
/// numbered along the nodes.
inline std::vector<std::int64_t> ranks_on_nodes(const Allocation& allocation, std::int64_t ranks, std::int64_t ranks_per_node) {
  std::vector<std::int64_t> counts;
  std::int64_t devices = 0;
  for (const NodeAllocation& part : allocation) {
    counts.push_back(static_cast<std::int64_t>(part.devices.size()));
    devices += counts.back();
  }
  if (allocation.empty() || (ranks <= 0 && ranks_per_node <= 0) || (ranks == devices && ranks_per_node <= 0)) return counts;
  const auto nodes = static_cast<std::int64_t>(allocation.size());
  for (std::int64_t node = 0; node < nodes; ++node) {
    counts[static_cast<std::size_t>(node)] = ranks > 0 ? ranks / nodes + (node < ranks % nodes ? 1 : 0) : ranks_per_node;
  }
  return counts;
}

}  // namespace ultramarine
