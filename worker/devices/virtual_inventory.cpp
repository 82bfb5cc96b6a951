#include "worker/devices/virtual_inventory.h"

#include <algorithm>
#include <array>
#include <utility>

namespace ultramarine::devices {
namespace {

class VirtualInventory final : public Inventory {
 public:
  VirtualInventory(const NodeConfig& node, ProcessCpuTime cpu_time) : cpu_time_(std::move(cpu_time)) {
    for (std::int64_t device = 0; device < node.gpus; ++device)
      devices_.push_back({.device = device,
                          .uuid = "VIRTUAL-" + node.name + "-" + std::to_string(device),
                          .model = node.gpu_type,
                          .memory_total_bytes = device_memory_bytes(node.gpu_type)});
  }

  DeviceSource source() const override { return DeviceSource::virtual_devices; }

  std::vector<DeviceReport> sample(Time now, const DeviceUsers& users) override {
    const std::int64_t elapsed_ms = sampled_ms_ ? (now - *sampled_ms_).ms : 0;
    if (sampled_ms_ && elapsed_ms <= 0) return devices_;
    std::map<std::int64_t, Duration> used;
    for (DeviceReport& report : devices_) {
      std::int64_t busy_ms = 0;
      const auto found = users.find(report.device);
      if (found != users.end())
        for (const std::int64_t pid : found->second) {
          const std::optional<Duration> total = cpu_time_(pid);
          if (!total) continue;
          used[pid] = *total;
          // A process that was not there before starts to count now: what it used earlier may be from before it had the device.
          const auto before = used_.find(pid);
          if (before != used_.end()) busy_ms += std::max<std::int64_t>(0, total->ms - before->second.ms);
        }
      report.utilization_permille = elapsed_ms > 0 ? std::min<std::int64_t>(1000, busy_ms * 1000 / elapsed_ms) : 0;
    }
    used_ = std::move(used);
    sampled_ms_ = now;
    return devices_;
  }

 private:
  ProcessCpuTime cpu_time_;
  std::vector<DeviceReport> devices_;
  std::map<std::int64_t, Duration> used_;  // by pid, at the last sample
  std::optional<Time> sampled_ms_;
};

}  // namespace

std::unique_ptr<Inventory> make_virtual_inventory(const NodeConfig& node, ProcessCpuTime cpu_time) {
  return std::make_unique<VirtualInventory>(node, std::move(cpu_time));
}

std::int64_t device_memory_bytes(const std::string& gpu_type) {
  constexpr std::int64_t gib = 1LL << 30;
  static constexpr std::array<std::pair<const char*, std::int64_t>, 6> known{
      {{"H100", 80 * gib}, {"H200", 141 * gib}, {"A100", 80 * gib}, {"H800", 80 * gib}, {"L40", 48 * gib}, {"V100", 32 * gib}}};
  for (const auto& [type, bytes] : known)
    if (gpu_type.find(type) != std::string::npos) return bytes;
  return 0;
}

}  // namespace ultramarine::devices
