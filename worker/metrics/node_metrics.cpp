#include "worker/metrics/node_metrics.h"

#include <prometheus/text_serializer.h>

#include <boost/describe.hpp>
#include <boost/mp11/algorithm.hpp>
#include <utility>

#include "worker/devices/xid_table.h"
#include "worker/metrics/dcgm_names.h"
#include "worker/metrics/family_of.h"

namespace ultramarine::worker_metrics {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<std::pair<std::string, std::string>>;

MetricFamily gauge(const char* name, const char* help) { return family_of(name, help, MetricType::Gauge); }
MetricFamily counter(const char* name, const char* help) { return family_of(name, help, MetricType::Counter); }

void add(MetricFamily& family, const Labels& labels, double value) {
  ClientMetric metric;
  for (const auto& [name, text] : labels) metric.label.push_back({name, text});
  (family.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  family.metric.push_back(std::move(metric));
}

/// Nothing where the driver doesn't say it.
template <class Value>
void add_known(MetricFamily& family, const Labels& labels, const std::optional<Value>& value, double scale = 1) {
  if (value) add(family, labels, static_cast<double>(*value) * scale);
}

constexpr double milli = 1e-3, mega = 1e6;

Labels with(Labels labels, const Labels& more) {
  labels.insert(labels.end(), more.begin(), more.end());
  return labels;
}

/// Of real devices beyond what every report says.
struct HealthFamilies {
  MetricFamily healthy = gauge("ultramarine_gpu_healthy", "1 while the GPU can be given to a gang.");
  MetricFamily power_limit = gauge("ultramarine_gpu_power_limit_watts", "The most that the GPU may draw.");
  MetricFamily energy = counter("ultramarine_gpu_energy_joules_total", "What the GPU has used since its driver was loaded.");
  MetricFamily sm_clock = gauge("ultramarine_gpu_sm_clock_hertz", "Clock of the streaming multiprocessors.");
  MetricFamily memory_clock = gauge("ultramarine_gpu_memory_clock_hertz", "Clock of the memory.");
  MetricFamily throttled = counter("ultramarine_gpu_throttle_seconds_total", "Time at lower clocks than possible, by why, since the agent started; looked at once a second.");
  MetricFamily xids = counter("ultramarine_gpu_xid_errors_total", "Errors that the driver reported, by its code, since the agent started.");
  MetricFamily rows = counter("ultramarine_gpu_remapped_rows_total", "Rows of the GPU's memory that were replaced, by the errors that were the cause.");
  MetricFamily pending = gauge("ultramarine_gpu_row_remap_pending", "1 while a row of memory waits to be replaced at the next reset.");
  MetricFamily failed = gauge("ultramarine_gpu_row_remap_failed", "1 when a row of memory could not be replaced.");

  void take(const Labels& labels, const DeviceDetails& details) {
    const devices::DeviceHealth& health = details.health;
    add(healthy, labels, details.is_healthy ? 1 : 0);
    add_known(power_limit, labels, health.power_limit_milliwatts, milli);
    add_known(energy, labels, health.energy_millijoules, milli);
    add_known(sm_clock, labels, health.sm_clock_mhz, mega);
    add_known(memory_clock, labels, health.memory_clock_mhz, mega);
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<devices::SlowedBy>>([&](auto reason) {
      if (health.slowed) add(throttled, with(labels, {{"reason", reason.name}}), static_cast<double>((*health.slowed)[static_cast<std::size_t>(reason.value)].ms) * milli);
    });
    // Codes that mean something are there from the start: a counter that first appears with 1 is invisible to increase().
    std::map<std::int64_t, std::int64_t> counts = details.xids;
    for (const devices::XidRow& row : devices::xid_rows()) counts.try_emplace(row.code, 0);
    for (const auto& [code, count] : counts) add(xids, with(labels, {{"xid", std::to_string(code)}}), static_cast<double>(count));
    add_known(rows, with(labels, {{"kind", "corrected"}}), health.rows_corrected);
    add_known(rows, with(labels, {{"kind", "uncorrected"}}), health.rows_uncorrected);
    add_known(pending, labels, health.row_remap_pending);
    add_known(failed, labels, health.row_remap_failed);
  }
  std::vector<MetricFamily*> all() {
    return {&healthy, &power_limit, &energy, &sm_clock, &memory_clock, &throttled, &xids, &rows, &pending, &failed};
  }
};

}  // namespace

NodeMetrics::NodeMetrics(BuildInfo build)
    : build_(std::move(build)),
      heartbeats_(std::make_unique<prometheus::Histogram>(
          prometheus::Histogram::BucketBoundaries{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5})) {}

std::vector<MetricFamily> NodeMetrics::Collect() const {
  MetricFamily build = gauge("ultramarine_build_info", "The running program; always 1.");
  add(build, {{"version", build_.version}, {"revision", build_.revision}, {"compiler", build_.compiler}}, 1);

  const std::string source_of_all = snapshot_.source == DeviceSource::nvml ? "nvml" : "virtual";
  MetricFamily source = gauge("ultramarine_agent_source", "Where the devices of this node come from; virtual ones are not real GPUs.");
  add(source, {{"node", snapshot_.node}, {"source", source_of_all}}, 1);

  MetricFamily info = gauge("ultramarine_gpu_info", "Identity of each GPU; always 1.");
  MetricFamily allocated = gauge("ultramarine_gpu_allocated", "1 while a gang holds the GPU.");
  MetricFamily utilization =
      gauge("ultramarine_gpu_utilization_ratio", "Busy time per wall time, 0 to 1; of a virtual GPU: CPU time of its ranks per wall time.");
  MetricFamily memory = gauge("ultramarine_gpu_memory_total_bytes", "Memory of the GPU.");
  MetricFamily memory_used = gauge("ultramarine_gpu_memory_used_bytes", "Memory of the GPU that is in use; of real GPUs only.");
  MetricFamily power = gauge("ultramarine_gpu_power_watts", "What the GPU draws; of real GPUs only.");
  MetricFamily temperature = gauge("ultramarine_gpu_temperature_celsius", "Of the GPU's die; of real GPUs only.");
  MetricFamily ecc = counter("ultramarine_gpu_ecc_errors_total", "Errors of the GPU's memory since its driver was loaded; of real GPUs only.");
  MetricFamily job_info = gauge("ultramarine_gpu_job_info", "The job that holds the GPU; always 1, absent while nobody does.");
  HealthFamilies health;
  for (const DeviceReport& device : snapshot_.devices) {
    const Labels labels{{"node", snapshot_.node}, {"gpu", std::to_string(device.device)}};
    // What is measured or claimed of a virtual GPU says so itself.
    const Labels sourced = with(labels, {{"source", source_of_all}});
    const auto job = snapshot_.jobs.find(device.device);
    const DeviceDetails details = snapshot_.details_of(device.device);
    add(info, with(labels, {{"uuid", device.uuid}, {"model", device.model}, {"driver", snapshot_.driver}, {"pci", details.pci}, {"source", source_of_all}}), 1);
    add(allocated, labels, job != snapshot_.jobs.end() ? 1 : 0);
    add_known(utilization, sourced, device.utilization_permille, milli);
    if (device.memory_total_bytes > 0) add(memory, sourced, static_cast<double>(device.memory_total_bytes));
    add_known(memory_used, labels, device.memory_used_bytes);
    add_known(power, labels, device.power_milliwatts, milli);
    add_known(temperature, labels, device.temperature_celsius);
    add_known(ecc, with(labels, {{"kind", "corrected"}}), device.ecc_corrected);
    add_known(ecc, with(labels, {{"kind", "uncorrected"}}), device.ecc_uncorrected);
    if (snapshot_.source == DeviceSource::nvml) health.take(labels, details);
    if (job != snapshot_.jobs.end())
      add(job_info, with(labels, {{"job_id", std::to_string(job->second.job.value)}, {"account", job->second.account}}), 1);
  }

  MetricFamily ranks = gauge("ultramarine_agent_ranks", "Processes of live gangs on this node.");
  add(ranks, {{"node", snapshot_.node}}, static_cast<double>(snapshot_.ranks));

  MetricFamily round_trips =
      family_of("ultramarine_agent_heartbeat_rtt_seconds", "From a heartbeat to the scheduler's answer to it.", MetricType::Histogram);
  round_trips.metric.push_back(heartbeats_->Collect());
  round_trips.metric.back().label = {{"node", snapshot_.node}};

  std::vector<MetricFamily*> families{&build, &source, &info, &allocated, &utilization, &memory, &memory_used, &power, &temperature, &ecc, &job_info, &ranks, &round_trips};
  for (MetricFamily* family : health.all()) families.push_back(family);
  std::vector<MetricFamily> all;
  for (MetricFamily* family : families)
    if (!family->metric.empty()) all.push_back(std::move(*family));
  if (snapshot_.with_dcgm_names)
    for (MetricFamily& family : dcgm_names(snapshot_)) all.push_back(std::move(family));
  return all;
}

std::string metrics_text(const prometheus::Collectable& metrics) { return prometheus::TextSerializer().Serialize(metrics.Collect()); }

}  // namespace ultramarine::worker_metrics
