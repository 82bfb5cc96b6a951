// What the GPUs of each node are used for at a moment: those that jobs hold, and why nobody holds the others.
#pragma once

#include <string>
#include <vector>

#include "scheduler/model/state.h"

namespace ultramarine::metrics {

BOOST_DEFINE_FIXED_ENUM_CLASS(GpuUse, std::uint8_t, allocated, idle, reserved, draining, down)

struct GpusOfNode {
  std::vector<std::string> partitions;  // that list it, in the order of the cluster file; it counts for the first
  std::int64_t gpus = 0, held = 0;
  GpuUse rest = GpuUse::idle;           // of those that nobody holds
};

/// Of all nodes. O(all jobs + nodes x partitions).
std::vector<GpusOfNode> gpus_by_use(const State& state, Time now);

}  // namespace ultramarine::metrics
