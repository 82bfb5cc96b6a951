// The devices of this node and how busy they are. One interface; behind it virtual devices, which exist only in the cluster file,
// or real ones. It knows nothing of gangs: whoever asks says which processes use which device.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "scheduler/model/gang_report.h"
#include "scheduler/model/node.h"

namespace ultramarine::devices {

/// Device index -> process ids of the ranks that use it now.
using DeviceUsers = std::map<std::int64_t, std::vector<std::int64_t>>;

class RealInventory;

class Inventory {
 public:
  virtual ~Inventory() = default;
  virtual DeviceSource source() const = 0;
  /// More of real devices (real_inventory.h); nullptr: these are none.
  virtual RealInventory* real() { return nullptr; }
  /// Every device, ascending by index 0, 1, ..., with its utilization since the call before (0 at the first).
  /// `users`: for inventories that cannot ask the hardware; real devices ignore it. `now` never goes back.
  virtual std::vector<DeviceReport> sample(Time now, const DeviceUsers& users) = 0;
};

}  // namespace ultramarine::devices
