#include "worker/devices/real_inventory.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "worker/devices/kernel_log.h"
#include "worker/devices/nvml.h"

namespace ultramarine::devices {
namespace {

using namespace std::chrono_literals;

constexpr auto look_interval = 1s;
/// How long a wait for the next Xid lasts: the thread ends only between two of them.
constexpr auto xid_patience = 200ms;
/// After a wait that didn't work, as when a device is lost.
constexpr auto xid_pause = 500ms;

/// The driver's bits, in the order of SlowedBy.
constexpr std::array<std::uint64_t, slowdown_reasons> slowdown_bits{0x40, 0x20, 0x08, 0x80, 0x04};

std::string counted_gpus(std::int64_t count) { return count == 1 ? "1 GPU" : std::to_string(count) + " GPUs"; }

class NvmlInventory final : public RealInventory {
 public:
  NvmlInventory(const NodeConfig& node, const std::string& library, const std::vector<std::string>& known) {
    devices_.resize(static_cast<std::size_t>(std::max<std::int64_t>(0, node.gpus)));
    handles_.resize(devices_.size());
    slowed_.resize(devices_.size());
    try {
      nvml_ = std::make_unique<Nvml>(library.empty() ? "libnvidia-ml.so.1" : library);
      list(node, known);
    } catch (const NvmlError& error) {
      for (std::size_t i = 0; i < devices_.size() && i < known.size(); ++i) devices_[i].uuid = known[i];
      problems_.push_back("the GPUs of node " + node.name + " can't be listed: " + error.what() +
                          "; install NVIDIA's driver there, or name its library in [agent] nvml_library, or write virtual = true in its [[node]], then restart ultra-agent");
    }
    newest_ = look();
  }

  ~NvmlInventory() override {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    for (std::thread* thread : {&looking_, &listening_})
      if (thread->joinable()) thread->join();
  }

  const std::vector<RealDevice>& devices() const override { return devices_; }
  const std::vector<std::string>& problems() const override { return problems_; }
  std::string driver_version() const override { return driver_version_; }

  std::vector<DeviceReport> sample(Time, const DeviceUsers&) override {
    const std::lock_guard lock(mutex_);
    return newest_.reports;
  }

  void start(OnLook on_look, OnXid on_xid) override {
    if (!nvml_ || looking_.joinable()) return;
    std::vector<NvmlDevice> present;
    for (const NvmlDevice handle : handles_)
      if (handle) present.push_back(handle);
    const bool tells_xids = nvml_->watch_xids(present);
    looking_ = std::thread([this, on_look = std::move(on_look)] { keep_looking(on_look); });
    if (tells_xids) listening_ = std::thread([this, on_xid = std::move(on_xid)] { listen(on_xid); });
  }

  std::int64_t look_soon() override {
    const std::lock_guard lock(mutex_);
    wanted_ = begun_ + 1;
    changed_.notify_all();
    return wanted_;
  }

 private:
  void list(const NodeConfig& node, const std::vector<std::string>& known) {
    driver_version_ = nvml_->driver_version();
    struct Found {
      NvmlDevice handle;
      NvmlIdentity identity;
      std::optional<PciAddress> address;
    };
    std::vector<Found> found;
    std::vector<std::string> uuids;
    for (std::int64_t i = 0, count = nvml_->device_count(); i < count; ++i) {
      int code = 0;
      const NvmlDevice handle = nvml_->device(i, code);
      NvmlIdentity identity = handle ? nvml_->identity(handle) : NvmlIdentity{.uuid = {}, .name = {}, .pci = {}, .minor = -1, .code = code};
      // One that doesn't say who it is can't be given to anybody; it shows as missing.
      if (identity.uuid.empty()) continue;
      uuids.push_back(identity.uuid);
      const auto address = parse_pci(identity.pci);
      found.push_back({handle, std::move(identity), address});
    }
    const Binding binding = bind_devices(node.name, node.gpus, known, uuids);
    problems_.insert(problems_.end(), binding.problems.begin(), binding.problems.end());
    for (std::size_t i = 0; i < devices_.size(); ++i) {
      RealDevice& device = devices_[i];
      device.uuid = binding.uuids[i];
      for (const Found& one : found) {
        if (device.uuid.empty() || one.identity.uuid != device.uuid) continue;
        handles_[i] = one.handle;
        device.model = one.identity.name;
        device.pci = one.identity.pci;
        device.minor = one.identity.minor;
        device.present = true;
        if (one.address) device.bus_position = std::count_if(found.begin(), found.end(), [&](const Found& other) { return other.address < one.address; });
      }
    }
  }

  DeviceLook look() {
    DeviceLook look{.number = begun_,
                    .reports = {},
                    .uses = std::vector<DeviceUse>(devices_.size()),
                    .healths = std::vector<DeviceHealth>(devices_.size())};
    const auto at = std::chrono::steady_clock::now();
    const auto since_last = looked_at_ ? std::chrono::duration_cast<std::chrono::milliseconds>(at - *looked_at_) : 0ms;
    looked_at_ = at;
    for (std::size_t i = 0; i < devices_.size(); ++i) {
      if (!handles_[i]) continue;
      const NvmlReading reading = nvml_->read(handles_[i]);
      DeviceUse& use = look.uses[i];
      use.lost = reading.lost;
      use.reset_required = reading.reset_required;
      use.memory_used_bytes = reading.memory_used_bytes;
      for (const NvmlProcess& process : reading.processes) use.pids.push_back(process.pid);
      DeviceReport& report = look.reports.emplace_back();
      report.device = static_cast<std::int64_t>(i);
      report.uuid = devices_[i].uuid;
      report.model = devices_[i].model;
      report.utilization_permille.reset();
      if (reading.utilization_percent) report.utilization_permille = *reading.utilization_percent * 10;
      report.memory_total_bytes = reading.memory_total_bytes.value_or(0);
      report.memory_used_bytes = reading.memory_used_bytes;
      report.power_milliwatts = reading.power_milliwatts;
      report.temperature_celsius = reading.temperature_celsius;
      report.ecc_corrected = reading.ecc_corrected;
      report.ecc_uncorrected = reading.ecc_uncorrected;
      look.healths[i] = {.power_limit_milliwatts = reading.power_limit_milliwatts,
                         .energy_millijoules = reading.energy_millijoules,
                         .sm_clock_mhz = reading.sm_clock_mhz,
                         .memory_clock_mhz = reading.memory_clock_mhz,
                         .slowed = {},
                         .rows_corrected = reading.rows_corrected,
                         .rows_uncorrected = reading.rows_uncorrected,
                         .row_remap_pending = reading.row_remap_pending,
                         .row_remap_failed = reading.row_remap_failed};
      if (!reading.slowed_by) continue;
      // What the driver says now is taken for all of the time since the last look.
      for (std::size_t reason = 0; reason < slowdown_reasons; ++reason)
        if (*reading.slowed_by & slowdown_bits[reason]) slowed_[i][reason] = slowed_[i][reason] + milliseconds(since_last.count());
      look.healths[i].slowed = slowed_[i];
    }
    return look;
  }

  void keep_looking(const OnLook& on_look) {
    auto next = std::chrono::steady_clock::now();
    for (std::unique_lock lock(mutex_); !ending_;) {
      changed_.wait_until(lock, next, [this] { return ending_ || wanted_ > begun_; });
      if (ending_) return;
      ++begun_;
      lock.unlock();
      const DeviceLook now = look();
      lock.lock();
      newest_ = now;
      lock.unlock();
      on_look(now);
      next = std::chrono::steady_clock::now() + look_interval;
      lock.lock();
    }
  }

  void listen(const OnXid& on_xid) {
    while (!ends_within(0ms)) {
      int code = 0;
      const auto event = nvml_->wait_for_xid(xid_patience, code);
      if (event) {
        const auto handle = std::find(handles_.begin(), handles_.end(), event->device);
        if (handle != handles_.end()) on_xid(handle - handles_.begin(), event->xid);
      } else if (code != nvml_timeout && code != nvml_success && ends_within(xid_pause)) {
        return;
      }
    }
  }

  bool ends_within(std::chrono::milliseconds length) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, length, [this] { return ending_; });
  }

  std::unique_ptr<Nvml> nvml_;
  std::vector<RealDevice> devices_;    // fixed once listed
  std::vector<NvmlDevice> handles_;    // by index; null where the device isn't present
  std::vector<std::string> problems_;
  std::string driver_version_;
  std::vector<std::array<Duration, slowdown_reasons>> slowed_;  // by index; of whoever looks
  std::optional<std::chrono::steady_clock::time_point> looked_at_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool ending_ = false;
  std::int64_t begun_ = 0;   // looks that have begun; written by the looking thread, under the lock
  std::int64_t wanted_ = 0;  // somebody waits for this one
  DeviceLook newest_;
  std::thread looking_, listening_;
};

}  // namespace

Binding bind_devices(const std::string& node, std::int64_t gpus, const std::vector<std::string>& known, const std::vector<std::string>& found) {
  Binding binding;
  binding.uuids.resize(static_cast<std::size_t>(std::max<std::int64_t>(0, gpus)));
  const auto contains = [](const std::vector<std::string>& list, const std::string& uuid) {
    return std::find(list.begin(), list.end(), uuid) != list.end();
  };
  for (std::size_t i = 0; i < binding.uuids.size() && i < known.size(); ++i)
    if (contains(found, known[i]) && !contains(binding.uuids, known[i])) binding.uuids[i] = known[i];
  std::vector<std::string> fresh;
  for (const std::string& uuid : found)
    if (!contains(binding.uuids, uuid)) fresh.push_back(uuid);
  auto next = fresh.begin();
  for (std::size_t i = 0; i < binding.uuids.size(); ++i) {
    if (!binding.uuids[i].empty()) continue;
    const std::string before = i < known.size() ? known[i] : "";
    if (next != fresh.end()) binding.uuids[i] = *next++;
    else binding.uuids[i] = before;
    if (before.empty()) continue;
    const std::string who = "device " + std::to_string(i) + " of node " + node + " was " + before + ", which the driver doesn't list any more; ";
    if (binding.uuids[i] != before)
      binding.problems.push_back(who + binding.uuids[i] + " has taken its place: if that was meant, run: ultra resume " + node);
    else
      binding.problems.push_back(who + "mend or replace it, then restart ultra-agent and run: ultra resume " + node);
  }
  const auto count = static_cast<std::int64_t>(found.size());
  if (count != gpus)
    binding.problems.push_back("the driver lists " + counted_gpus(count) + " on node " + node + ", the cluster file says gpus = " + std::to_string(gpus) +
                               ": correct its [[node]] or mend the machine, then restart the daemons and run: ultra resume " + node);
  return binding;
}

std::unique_ptr<RealInventory> make_real_inventory(const NodeConfig& node, const std::string& library, const std::vector<std::string>& known) {
  return std::make_unique<NvmlInventory>(node, library, known);
}

std::int64_t device_at(const std::vector<RealDevice>& devices, const std::string& pci) {
  const auto wanted = parse_pci(pci);
  for (std::size_t i = 0; i < devices.size() && wanted; ++i)
    if (parse_pci(devices[i].pci) == wanted) return static_cast<std::int64_t>(i);
  return -1;
}

}  // namespace ultramarine::devices
