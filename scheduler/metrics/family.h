// One metric family under construction, for what is made afresh at each scrape: values of equal labels add up.
#pragma once

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>
#include <prometheus/metric_type.h>

#include <algorithm>
#include <boost/describe.hpp>
#include <map>
#include <string>
#include <vector>

namespace ultramarine::metrics {

using Labels = std::vector<prometheus::ClientMetric::Label>;

template <class Enum>
std::string word(Enum value) {
  return boost::describe::enum_to_string(value, "");
}

class Family {
 public:
  Family(std::string name, std::string help, prometheus::MetricType type = prometheus::MetricType::Gauge) {
    family_.name = "ultramarine_" + std::move(name);
    family_.help = std::move(help);
    family_.type = type;
  }
  void add(const Labels& labels, double value) { values_[labels] += value; }
  void at_least(const Labels& labels, double value) { values_[labels] = std::max(values_[labels], value); }
  /// Nothing when it has no series.
  void into(std::vector<prometheus::MetricFamily>& families) {
    for (const auto& [labels, value] : values_) {
      prometheus::ClientMetric metric;
      metric.label = labels;
      (family_.type == prometheus::MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
      family_.metric.push_back(std::move(metric));
    }
    if (!family_.metric.empty()) families.push_back(std::move(family_));
  }

 private:
  prometheus::MetricFamily family_;
  std::map<Labels, double> values_;
};

}  // namespace ultramarine::metrics
