// Gauges (and counters that are sums over the state) as families built afresh from one scrape.
#pragma once

#include <prometheus/collectable.h>

#include "scheduler/metrics/exporter.h"

namespace ultramarine::metrics {

class Gauges : public prometheus::Collectable {
 public:
  explicit Gauges(const Scrape& scrape) : scrape_(scrape) {}
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const Scrape& scrape_;
};

}  // namespace ultramarine::metrics
