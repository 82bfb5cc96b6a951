// What GPU time costs: the price of a GPU-hour from what the cluster file says of money, and amounts from it. Amounts are thousandths of the
// currency, to the nearest one, halves upwards; so a sum of amounts differs from the amount of the sum by at most half a thousandth for each.
#pragma once

#include <cstdint>

#include "scheduler/model/cluster.h"

namespace ultramarine::core {

/// Of one GPU-hour; 0: the cluster file says nothing.
struct Prices {
  std::int64_t per_gpu_hour_milli = 0;
  std::int64_t cloud_per_gpu_hour_milli = 0;
  bool operator==(const Prices&) const = default;
};

/// Ours is price_per_gpu_hour where the file says one, whatever else it says; else (capital cost / (lifetime in years x 8,766 h) + monthly
/// running cost / 730.5 h) / the GPUs of all nodes of the file.
Prices prices_of(const ClusterConfig& cluster);

/// What so many GPU-milliseconds cost. Neither is negative.
std::int64_t cost_milli(std::int64_t gpu_ms, std::int64_t per_gpu_hour_milli);

}  // namespace ultramarine::core
