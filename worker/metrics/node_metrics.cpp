#include "worker/metrics/node_metrics.h"

#include <prometheus/text_serializer.h>

#include <utility>

namespace ultramarine::worker_metrics {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using Labels = std::vector<std::pair<std::string, std::string>>;

MetricFamily gauge(const char* name, const char* help) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = prometheus::MetricType::Gauge;
  return family;
}

void add(MetricFamily& family, const Labels& labels, double value) {
  ClientMetric metric;
  for (const auto& [name, text] : labels) metric.label.push_back({name, text});
  metric.gauge.value = value;
  family.metric.push_back(std::move(metric));
}

}  // namespace

std::vector<MetricFamily> NodeMetrics::Collect() const {
  MetricFamily build = gauge("ultramarine_build_info", "The running program; always 1.");
  add(build, {{"version", build_.version}, {"revision", build_.revision}, {"compiler", build_.compiler}}, 1);

  MetricFamily source = gauge("ultramarine_agent_source", "Where the devices of this node come from; virtual ones are not real GPUs.");
  add(source, {{"node", snapshot_.node}, {"source", snapshot_.source == DeviceSource::nvml ? "nvml" : "virtual"}}, 1);

  MetricFamily info = gauge("ultramarine_gpu_info", "Identity of each GPU; always 1.");
  MetricFamily allocated = gauge("ultramarine_gpu_allocated", "1 while a gang holds the GPU.");
  MetricFamily utilization =
      gauge("ultramarine_gpu_utilization_ratio", "Busy time per wall time, 0 to 1; of a virtual GPU: CPU time of its ranks per wall time.");
  MetricFamily memory = gauge("ultramarine_gpu_memory_total_bytes", "Memory of the GPU.");
  MetricFamily memory_used = gauge("ultramarine_gpu_memory_used_bytes", "Memory of the GPU that is in use; of real GPUs only.");
  MetricFamily power = gauge("ultramarine_gpu_power_watts", "What the GPU draws; of real GPUs only.");
  MetricFamily temperature = gauge("ultramarine_gpu_temperature_celsius", "Of the GPU's die; of real GPUs only.");
  MetricFamily ecc = gauge("ultramarine_gpu_ecc_errors", "Errors of the GPU's memory since its driver was loaded; of real GPUs only.");
  MetricFamily job_info = gauge("ultramarine_gpu_job_info", "The job that holds the GPU; always 1, absent while nobody does.");
  for (const DeviceReport& device : snapshot_.devices) {
    const Labels labels{{"node", snapshot_.node}, {"gpu", std::to_string(device.device)}};
    const auto with = [&](const Labels& more) {
      Labels all = labels;
      all.insert(all.end(), more.begin(), more.end());
      return all;
    };
    const auto job = snapshot_.jobs.find(device.device);
    add(info, with({{"uuid", device.uuid}, {"model", device.model}}), 1);
    add(allocated, labels, job != snapshot_.jobs.end() ? 1 : 0);
    if (device.utilization_permille) add(utilization, labels, static_cast<double>(*device.utilization_permille) / 1000);
    if (device.memory_total_bytes > 0) add(memory, labels, static_cast<double>(device.memory_total_bytes));
    if (device.memory_used_bytes) add(memory_used, labels, static_cast<double>(*device.memory_used_bytes));
    if (device.power_milliwatts) add(power, labels, static_cast<double>(*device.power_milliwatts) / 1000);
    if (device.temperature_celsius) add(temperature, labels, static_cast<double>(*device.temperature_celsius));
    if (device.ecc_corrected) add(ecc, with({{"kind", "corrected"}}), static_cast<double>(*device.ecc_corrected));
    if (device.ecc_uncorrected) add(ecc, with({{"kind", "uncorrected"}}), static_cast<double>(*device.ecc_uncorrected));
    if (job != snapshot_.jobs.end())
      add(job_info, with({{"job_id", std::to_string(job->second.job.value)}, {"account", job->second.account}}), 1);
  }

  MetricFamily ranks = gauge("ultramarine_agent_ranks", "Processes of live gangs on this node.");
  add(ranks, {{"node", snapshot_.node}}, static_cast<double>(snapshot_.ranks));

  std::vector<MetricFamily> all;
  for (MetricFamily* family : {&build, &source, &info, &allocated, &utilization, &memory, &memory_used, &power, &temperature, &ecc, &job_info, &ranks})
    if (!family->metric.empty()) all.push_back(std::move(*family));
  return all;
}

std::string metrics_text(const prometheus::Collectable& metrics) { return prometheus::TextSerializer().Serialize(metrics.Collect()); }

}  // namespace ultramarine::worker_metrics
