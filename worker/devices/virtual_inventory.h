// Devices that exist only in the cluster file. Their utilization is honest about what there is to measure: CPU time of the ranks
// that use the device per wall time, at most 1. No memory use, no temperature, no power: those are never made up.
#pragma once

#include <functional>
#include <optional>

#include "scheduler/model/cluster.h"
#include "worker/devices/inventory.h"

namespace ultramarine::devices {

/// CPU time that a process and its descendants have used so far; nullopt when there is no such process.
using ProcessCpuTime = std::function<std::optional<Duration>(std::int64_t pid)>;

/// `node.gpus` devices named VIRTUAL-<node>-<index>, of model `node.gpu_type`. Deterministic but for `cpu_time`.
std::unique_ptr<Inventory> make_virtual_inventory(const NodeConfig& node, ProcessCpuTime cpu_time);

/// Memory of one device of a well-known type, 0 when the type is not known.
std::int64_t device_memory_bytes(const std::string& gpu_type);

}  // namespace ultramarine::devices
