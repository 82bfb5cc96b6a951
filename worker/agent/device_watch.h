// What follows from what happens to real devices: which gangs fail because of it, when the node is to be drained, and when the end of a gang may be
// said, since with it the scheduler gives its devices to somebody else. Stands between the shims and the agent's machine. Two witnesses speak of
// Xids, the driver and the kernel's log; what both say counts once. Time comes in as an argument; the loop's thread only.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/protocol/shim_messages.h"
#include "worker/core/agent_machine.h"
#include "worker/devices/kernel_log.h"
#include "worker/devices/real_inventory.h"

namespace ultramarine::agent {

/// The other witness has this long to add what it knows.
constexpr Duration xid_second_witness{300};
/// The same Xid of the same device within this time is the same event.
constexpr Duration xid_repeat{10'000};
/// A failure waits this long for the driver to say whether a device was the cause.
constexpr Duration failure_patience{2'000};
/// How often the driver is asked while an end waits for it.
constexpr Duration release_interval{200};

class DeviceWatch {
 public:
  struct Doors {
    std::string node;
    Duration release_ms{30'000};
    std::int64_t tolerance_bytes = 0;
    bool kernel_log = false;  // there is a second witness to wait for
    std::function<void(const protocol::FromShim&)> pass;  // on to the machine
    std::function<void(const std::vector<std::int64_t>&, const Failure&)> lost;
    std::function<void(const protocol::NodeTrouble&)> trouble;
    std::function<void(const std::string&)> note;  // for the log
    std::function<std::int64_t()> look_soon;
    std::function<const std::map<GangKey, worker_core::KnownGang>&()> gangs;
  };

  DeviceWatch(std::vector<devices::RealDevice> devices, Doors doors);

  /// Passed on at once, or once the driver has been asked.
  void on_shim(Time now, const protocol::FromShim& message);
  void on_look(Time now, const devices::DeviceLook& look);
  /// From the driver.
  void on_xid(Time now, std::int64_t device, std::int64_t xid);
  /// From the kernel's log.
  void on_kernel(Time now, const devices::KernelXid& line);
  void on_time(Time now);
  std::optional<Time> next_wakeup() const;

  /// Why this device can't be given to a gang now, in one sentence; nullopt: it can.
  std::optional<std::string> refusal(std::int64_t device) const;

 private:
  struct Condition {
    bool lost = false, needs_reset = false;
    std::string occupied;  // by what was given up waiting for; the driver's newest word
  };
  struct Sighting {
    Time since_ms;
    Time until_ms;     // judged then at the latest
    std::string line;  // the kernel's; "" = not heard
    bool judged = false;
  };
  struct Held {
    GangReport report;
    std::int64_t look = 0;  // judged by this one or a later one
    Time since_ms;
    Time until_ms;
    Time next_look_ms;
    std::string problem;    // what the newest look found in use
  };
  using What = std::pair<std::int64_t, std::int64_t>;  // device, Xid; Xid 0: the driver says that it is lost

  void sight(Time now, What what, const std::string& line);
  void judge(Time now, What what, Sighting& sighting);
  void declare_lost(Time now, std::int64_t device, const std::string& why);
  std::vector<std::int64_t> devices_of(const GangKey& key) const;
  bool shares_with_living(const GangKey& key, const std::vector<std::int64_t>& devices) const;
  std::string in_use(const std::vector<std::int64_t>& devices, const devices::DeviceLook& look) const;
  void release(const GangKey& key);
  std::string name_of(std::int64_t device) const;

  const std::vector<devices::RealDevice> devices_;
  const Doors doors_;
  std::vector<Condition> conditions_;  // by index
  std::map<What, Sighting> sightings_;
  std::map<GangKey, Held> held_;
  std::map<GangKey, std::vector<std::string>> blames_;  // of live gangs: Xids of theirs, oldest first
};

}  // namespace ultramarine::agent
