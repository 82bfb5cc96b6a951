// What a device index of a job stands for on its node, for each of those who must know: CUDA takes UUIDs, /dev is numbered by the driver, hwloc goes by
// places on the bus. The agent says it in the launch; where it doesn't, an index stands for itself. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "scheduler/protocol/agent_messages.h"
#include "worker/launcher/gang_layout.h"

namespace ultramarine::launcher {

/// For CUDA_VISIBLE_DEVICES: UUIDs, which mean the same GPUs in whatever order CUDA lists them; indices unless all UUIDs are known.
std::string visible_devices(const protocol::LaunchSpec& launch, const std::vector<std::int64_t>& devices);

/// The N of their /dev/nvidiaN, in the order of `devices`.
std::vector<std::int64_t> device_minors(const protocol::LaunchSpec& launch, const std::vector<std::int64_t>& devices);

/// The same places with devices numbered in the order of their bus addresses.
std::vector<RankPlace> on_the_bus(const protocol::LaunchSpec& launch, std::vector<RankPlace> places);

}  // namespace ultramarine::launcher
