// The same devices under the names, labels and units of NVIDIA's dcgm-exporter (its etc/default-counters.csv), for dashboards that know those. What
// that calls a counter without ending its name in _total has no type here: promtool would complain, and rate() asks for none.
#include "worker/metrics/dcgm_names.h"

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>
#include <prometheus/metric_type.h>

#include <utility>

#include "worker/metrics/family_of.h"

namespace ultramarine::worker_metrics {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr double mebibyte = 1 << 20;

MetricFamily dcgm_family(const char* name, const char* help, MetricType type = MetricType::Gauge) { return family_of(name, help, type); }

}  // namespace

std::vector<MetricFamily> dcgm_names(const NodeSnapshot& snapshot) {
  if (snapshot.source != DeviceSource::nvml) return {};
  MetricFamily sm_clock = dcgm_family("DCGM_FI_DEV_SM_CLOCK", "SM clock frequency (in MHz).");
  MetricFamily memory_clock = dcgm_family("DCGM_FI_DEV_MEM_CLOCK", "Memory clock frequency (in MHz).");
  MetricFamily temperature = dcgm_family("DCGM_FI_DEV_GPU_TEMP", "GPU temperature (in C).");
  MetricFamily power = dcgm_family("DCGM_FI_DEV_POWER_USAGE", "Power draw (in W).");
  MetricFamily energy = dcgm_family("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "Energy since the driver was loaded (in mJ).", MetricType::Untyped);
  MetricFamily utilization = dcgm_family("DCGM_FI_DEV_GPU_UTIL", "GPU utilization (in %).");
  MetricFamily xid = dcgm_family("DCGM_FI_DEV_XID_ERRORS", "The newest Xid; 0: none was seen.");
  MetricFamily free = dcgm_family("DCGM_FI_DEV_FB_FREE", "Memory free (in MiB).");
  MetricFamily used = dcgm_family("DCGM_FI_DEV_FB_USED", "Memory used (in MiB).");
  MetricFamily rows_uncorrected =
      dcgm_family("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "Rows of memory remapped after uncorrectable errors.", MetricType::Untyped);
  MetricFamily rows_corrected =
      dcgm_family("DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", "Rows of memory remapped after correctable errors.", MetricType::Untyped);
  MetricFamily remap_failed = dcgm_family("DCGM_FI_DEV_ROW_REMAP_FAILURE", "1 when a row of memory could not be remapped.");
  for (const DeviceReport& device : snapshot.devices) {
    const DeviceDetails details = snapshot.details_of(device.device);
    ClientMetric labelled;
    labelled.label = {{"gpu", std::to_string(device.device)},
                      {"UUID", device.uuid},
                      {"pci_bus_id", details.pci},
                      {"device", details.minor < 0 ? "" : "nvidia" + std::to_string(details.minor)},
                      {"modelName", device.model},
                      {"Hostname", snapshot.node}};
    const auto say = [&](MetricFamily& family, auto value, double scale = 1) {
      if (!value) return;
      ClientMetric metric = labelled;
      const double number = static_cast<double>(*value) * scale;
      (family.type == MetricType::Untyped ? metric.untyped.value : metric.gauge.value) = number;
      family.metric.push_back(std::move(metric));
    };
    const devices::DeviceHealth& health = details.health;
    say(sm_clock, health.sm_clock_mhz);
    say(memory_clock, health.memory_clock_mhz);
    say(temperature, device.temperature_celsius);
    say(power, device.power_milliwatts, 1e-3);
    say(energy, health.energy_millijoules);
    say(utilization, device.utilization_permille, 0.1);
    say(xid, std::optional(details.newest_xid));
    if (device.memory_used_bytes && device.memory_total_bytes > 0) {
      say(free, std::optional(device.memory_total_bytes - *device.memory_used_bytes), 1 / mebibyte);
      say(used, device.memory_used_bytes, 1 / mebibyte);
    }
    say(rows_uncorrected, health.rows_uncorrected);
    say(rows_corrected, health.rows_corrected);
    say(remap_failed, health.row_remap_failed);
  }
  std::vector<MetricFamily> all;
  for (MetricFamily* family :
       {&sm_clock, &memory_clock, &temperature, &power, &energy, &utilization, &xid, &free, &used, &rows_uncorrected, &rows_corrected, &remap_failed})
    if (!family->metric.empty()) all.push_back(std::move(*family));
  return all;
}

}  // namespace ultramarine::worker_metrics
