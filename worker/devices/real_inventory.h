// Real GPUs, as NVIDIA's driver lists them. A device is who its UUID says: its index on this node is kept over restarts and reboots, in whatever order
// the driver lists it then. The driver is asked on threads of our own, once a second and whenever somebody wants to know: when it hangs, the agent
// doesn't. Whoever listens is told of each look and of each Xid. Decides nothing.
#pragma once

#include <array>
#include <boost/describe/enum.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/model/cluster.h"
#include "worker/devices/inventory.h"

namespace ultramarine::devices {

/// What a device index of this node stands for.
struct RealDevice {
  std::string uuid;  // "" = no GPU was ever known under this index
  std::string model;
  std::string pci;                 // as the driver writes it
  std::int64_t minor = -1;         // of /dev/nvidia<minor>; -1 = not known
  std::int64_t bus_position = -1;  // among all GPUs of the machine in the order of their bus addresses
  bool present = false;            // the driver lists it
};

/// Who is on a device at one moment.
struct DeviceUse {
  bool lost = false;            // the driver says that the GPU is gone
  bool reset_required = false;
  std::vector<std::int64_t> pids;
  std::optional<std::int64_t> memory_used_bytes;
};

/// Why a GPU's clocks are lower than they could be: too hot, for the hardware or for the driver; slowed by the hardware for another reason; the power
/// supply asks for it; at its power limit.
BOOST_DEFINE_FIXED_ENUM_CLASS(SlowedBy, std::uint8_t, hw_thermal, sw_thermal, hw_slowdown, power_brake, power_cap)
constexpr std::size_t slowdown_reasons = 5;

/// What is worth watching of a device but changes nothing by itself. What the driver doesn't say is left out.
struct DeviceHealth {
  std::optional<std::int64_t> power_limit_milliwatts;
  std::optional<std::int64_t> energy_millijoules;  // since the driver was loaded
  std::optional<std::int64_t> sm_clock_mhz, memory_clock_mhz;
  std::optional<std::array<Duration, slowdown_reasons>> slowed;  // by SlowedBy: since the agent started, to a look exactly
  std::optional<std::int64_t> rows_corrected, rows_uncorrected;  // remapped rows of its memory, by the errors that were the cause
  std::optional<bool> row_remap_pending, row_remap_failed;
};

/// One look at all devices, by index.
struct DeviceLook {
  std::int64_t number = 0;  // rises; see `look_soon`
  std::vector<DeviceReport> reports;  // of those present
  std::vector<DeviceUse> uses;        // one for each index
  std::vector<DeviceHealth> healths;  // one for each index; empty of those that aren't present
};

/// UUIDs by index and what is wrong with them, in sentences for people.
struct Binding {
  std::vector<std::string> uuids;  // `gpus` of them; "" = none
  std::vector<std::string> problems;
};
/// `known`: by index, of an earlier time; `found`: as the driver lists them now. A GPU that is still there keeps its index, new ones take those that are
/// free, and an index whose GPU is missing stays its own as long as nobody needs it.
Binding bind_devices(const std::string& node, std::int64_t gpus, const std::vector<std::string>& known, const std::vector<std::string>& found);

class RealInventory : public Inventory {
 public:
  DeviceSource source() const final { return DeviceSource::nvml; }
  RealInventory* real() final { return this; }
  /// By index, `gpus` of them.
  virtual const std::vector<RealDevice>& devices() const = 0;
  /// Why this node had better take no jobs, with the remedy; empty: it may.
  virtual const std::vector<std::string>& problems() const = 0;
  virtual std::string driver_version() const = 0;

  using OnLook = std::function<void(const DeviceLook&)>;
  using OnXid = std::function<void(std::int64_t device, std::int64_t xid)>;
  /// Starts asking. Both are called on other threads, until the inventory is destroyed.
  virtual void start(OnLook on_look, OnXid on_xid) = 0;
  /// Asks the driver at once. Looks with the returned number or a higher one began after this call.
  virtual std::int64_t look_soon() = 0;
};

/// `library`: NVIDIA's; "" = libnvidia-ml.so.1. `known`: the UUIDs by index of an earlier inventory of this node. Never throws: what is wrong is one of the
/// `problems`. Asks the driver once.
std::unique_ptr<RealInventory> make_real_inventory(const NodeConfig& node, const std::string& library, const std::vector<std::string>& known);

/// Index of the device that is plugged in there; -1 when none is.
std::int64_t device_at(const std::vector<RealDevice>& devices, const std::string& pci);

}  // namespace ultramarine::devices
