// A metric family without series yet.
#pragma once

#include <prometheus/metric_family.h>
#include <prometheus/metric_type.h>

namespace ultramarine::worker_metrics {

inline prometheus::MetricFamily family_of(const char* name, const char* help, prometheus::MetricType type) {
  prometheus::MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  return family;
}

}  // namespace ultramarine::worker_metrics
