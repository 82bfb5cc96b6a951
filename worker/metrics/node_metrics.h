// The node's own metrics as one prometheus-cpp collectable: a snapshot that its owner replaces, so that series of a gang vanish
// with it. Names and labels are those of the project's catalogue; anyone may read them, so they name accounts, never users.
// Knows nothing of sockets: the agent serves the text.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/histogram.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "scheduler/model/gang_report.h"
#include "scheduler/model/node.h"
#include "worker/devices/real_inventory.h"

namespace ultramarine::worker_metrics {

/// What a device works for.
struct DeviceJob {
  JobId job;
  std::string account;
};

/// What is known of a real device beside its report.
struct DeviceDetails {
  std::string pci;          // as the driver writes it
  std::int64_t minor = -1;  // of /dev/nvidia<minor>; -1 = not known
  bool is_healthy = true;   // it can be given to a gang
  std::map<std::int64_t, std::int64_t> xids;  // Xid -> how often, since the agent started
  std::int64_t newest_xid = 0;                // 0 = none
  devices::DeviceHealth health;
};

struct NodeSnapshot {
  std::string node;
  DeviceSource source = DeviceSource::virtual_devices;
  std::vector<DeviceReport> devices;
  std::map<std::int64_t, DeviceJob> jobs;  // by device; absent: nobody holds it
  std::int64_t ranks = 0;                  // processes of live gangs
  std::map<std::int64_t, DeviceDetails> details;  // of real devices
  std::string driver;                      // its version; "" = there is none
  bool with_dcgm_names = false;            // real devices also as NVIDIA's dcgm-exporter calls them

  DeviceDetails details_of(std::int64_t device) const {
    const auto found = details.find(device);
    return found == details.end() ? DeviceDetails{} : found->second;
  }
};

/// Of the running program, for ultramarine_build_info.
struct BuildInfo {
  std::string version, revision, compiler;
};

class NodeMetrics final : public prometheus::Collectable {
 public:
  explicit NodeMetrics(BuildInfo build);
  /// Not while another thread collects: agent and server share one loop.
  void update(NodeSnapshot snapshot) { snapshot_ = std::move(snapshot); }
  /// From a heartbeat to the scheduler's answer.
  void on_heartbeat_answered(double seconds) { heartbeats_->Observe(seconds); }
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  BuildInfo build_;
  NodeSnapshot snapshot_;
  std::unique_ptr<prometheus::Histogram> heartbeats_;  // it can't be moved itself
};

/// Prometheus text format 0.0.4.
std::string metrics_text(const prometheus::Collectable& metrics);
inline constexpr const char* metrics_content_type = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace ultramarine::worker_metrics
