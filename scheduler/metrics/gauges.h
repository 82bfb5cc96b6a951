// Gauges (and counters that are sums over the state) as families built afresh from one scrape.
#pragma once

#include <prometheus/collectable.h>

#include "scheduler/metrics/exporter.h"
#include "scheduler/metrics/gpu_time.h"

namespace ultramarine::metrics {

/// What was added up since the process began, as far as it is shown beside the state: a copy, nobody waits for a scrape.
struct Books {
  GpuTime gpu_time;
  std::map<std::string, std::int64_t> node_changes;  // of state, by node
};

class Gauges : public prometheus::Collectable {
 public:
  Gauges(const Scrape& scrape, const Books& books, const Settings& settings) : scrape_(scrape), books_(books), settings_(settings) {}
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const Scrape& scrape_;
  const Books& books_;
  const Settings& settings_;
};

// ---- parts of it
using Families = std::vector<prometheus::MetricFamily>;
/// Shares, loans, budgets, money. (account_gauges.cpp)
void account_gauges(const Scrape& scrape, Families& families);
/// GPU time by layer, account and cause, and what it costs. (gpu_time_counters.cpp)
void gpu_time_counters(const Scrape& scrape, const Books& books, const Settings& settings, Families& families);
/// Series of running jobs only: they end with the job. (running_job_gauges.cpp)
void running_job_gauges(const Scrape& scrape, const Books& books, const Settings& settings, Families& families);

}  // namespace ultramarine::metrics
