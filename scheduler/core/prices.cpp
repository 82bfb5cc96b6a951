// See prices.h.
#include "scheduler/core/prices.h"

#include "scheduler/core/wide.h"

namespace ultramarine::core {
namespace {

constexpr std::int64_t hours_per_year = 8766;  // of 365.25 days; a twelfth of it, 730.5, is a month
constexpr std::int64_t months_per_year = 12;
constexpr std::int64_t ms_per_hour = 3'600'000;

/// To the nearest whole number, halves upwards; neither is negative, and the denominator not 0.
std::int64_t rounded(Wide numerator, Wide denominator) { return narrowed((2 * numerator + denominator) / (2 * denominator)); }

/// Both costs over the same denominator: with a lifetime of y years, (capital + running x 12 y) / (8,766 h x y x GPUs).
std::int64_t price_from_costs(const MoneyConfig& money, std::int64_t gpus) {
  const std::int64_t years = money.capital_cost_milli > 0 ? money.lifetime_years : 1;
  if (gpus <= 0 || years <= 0) return 0;
  const Wide cost = Wide{money.capital_cost_milli} + Wide{money.monthly_running_cost_milli} * months_per_year * years;
  return rounded(cost, Wide{hours_per_year} * years * gpus);
}

}  // namespace

Prices prices_of(const ClusterConfig& cluster) {
  std::int64_t gpus = 0;
  for (const NodeConfig& node : cluster.nodes) gpus += node.gpus;
  const MoneyConfig& money = cluster.money;
  return {money.price_per_gpu_hour_milli > 0 ? money.price_per_gpu_hour_milli : price_from_costs(money, gpus), money.cloud_price_per_gpu_hour_milli};
}

std::int64_t cost_milli(std::int64_t gpu_ms, std::int64_t per_gpu_hour_milli) { return rounded(Wide{gpu_ms} * per_gpu_hour_milli, ms_per_hour); }

}  // namespace ultramarine::core
