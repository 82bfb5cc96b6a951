// A node's real GPUs under the names of NVIDIA's dcgm-exporter.
#pragma once

#include <vector>

#include "worker/metrics/node_metrics.h"

namespace ultramarine::worker_metrics {

/// None of virtual devices: these names say "real" to everybody who knows them. `gpu` is the index on our node, as everywhere here, and not the
/// driver's; `device` and `pci_bus_id` are the driver's.
std::vector<prometheus::MetricFamily> dcgm_names(const NodeSnapshot& snapshot);

}  // namespace ultramarine::worker_metrics
