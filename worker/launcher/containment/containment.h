// What holds all processes of a gang on this node together, whatever they fork and however they leave their session: a control group that
// the agent makes before the supervisor starts, so that the supervisor and all below it are born inside. One interface, three kinds:
//   cgroup_v2       kills by cgroup.kill; limits of memory, processes and CPUs where the controllers are given to us; GPUs by a BPF program
//   cgroup_v1       kills what the freezer has stopped; memory, pids, cpu and devices, each in its own hierarchy
//   process_groups  nothing can be made: the supervisor finds its processes as their common ancestor (process_tree.h)
// Limits belong to the attempt (its gangs share them), the kill to the gang:  <base>/<job>.<attempt>/<gang>
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/model/gang_report.h"

namespace ultramarine::launcher {

struct DeviceNumber {
  std::int64_t major = 0, minor = 0;
  bool operator==(const DeviceNumber&) const = default;
};

/// What an attempt may use of this node. 0 = no limit.
struct AttemptLimits {
  std::int64_t memory_bytes = 0;
  std::int64_t processes = 0;                // threads count, too
  std::int64_t cpus = 0;
  std::vector<DeviceNumber> denied_devices;  // character devices that nothing of it can open
};

/// The processes of one gang. Ends with the object only as far as memory goes: the group stays until `remove`.
class GangGroup {
 public:
  virtual ~GangGroup() = default;
  /// Files into each of which a process writes "0" to enter, before anything of the user runs in it.
  virtual std::vector<std::string> entrances() const = 0;
  /// Living processes, in no order. Zombies don't count.
  virtual std::vector<std::int64_t> processes() const = 0;
  /// SIGKILL to all of them at one moment, so that none can fork past it. `spared`: a pid that lives on (0 = none).
  virtual void kill_all_but(std::int64_t spared) = 0;
  /// True when the group is gone. False while a process is in it.
  virtual bool remove() = 0;
};

class Containment {
 public:
  virtual ~Containment() = default;
  /// process_groups, cgroup_v1, cgroup_v2
  virtual std::string kind() const = 0;
  /// What it can do beside killing: of memory, pids, cpu, devices.
  virtual std::vector<std::string> limits() const = 0;
  /// Folders that hold the groups of this node, for whoever cleans up after an agent.
  virtual std::vector<std::string> folders() const = 0;
  /// Makes the group, or finds it. nullptr: this kind has none. Throws FolderError.
  virtual std::unique_ptr<GangGroup> make(const GangKey& key, const AttemptLimits& limits) = 0;
  /// nullptr when there is no such group.
  virtual std::unique_ptr<GangGroup> find(const GangKey& key) = 0;
};

/// Own groups of this process, as the kernel says it: one folder per controller of version 1, and that of version 2; "" = not mounted.
struct OwnGroups {
  std::string memory, pids, cpu, devices, freezer;  // version 1
  std::string unified;                              // version 2
  bool unified_is_root = false;
};
/// From the texts of /proc/self/mountinfo and /proc/self/cgroup.
OwnGroups own_groups(const std::string& mountinfo, const std::string& membership);
OwnGroups own_groups();

/// The first kind of `wish` that works here: "auto" tries cgroup_v2 (with its controllers), cgroup_v1, cgroup_v2 (to kill alone) and process_groups.
/// Another wish that can't be had throws FolderError with why. `name`: of this node's groups, unique on the machine.
std::unique_ptr<Containment> choose_containment(const std::string& wish, const std::string& name, const OwnGroups& own = own_groups());

/// Each throws FolderError when it can't be used here.
std::unique_ptr<Containment> make_cgroup_v2(const OwnGroups& own, const std::string& name);
std::unique_ptr<Containment> make_cgroup_v1(const OwnGroups& own, const std::string& name);
std::unique_ptr<Containment> make_process_groups();
/// Those that an earlier agent made, found again by `folders()`; nullptr when none of them is there or none holds a group.
std::unique_ptr<Containment> reopen_containment(const std::string& kind, const std::vector<std::string>& folders);

/// Removes the groups that no process is in: of gangs whose shim went after its agent had.
void remove_empty_groups(const Containment& containment);

/// The GPUs of `folder` ("/dev": nvidia0, nvidia1 ...) whose number isn't among `minors`.
std::vector<DeviceNumber> other_gpus(const std::string& folder, const std::vector<std::int64_t>& minors);

/// What the kernel says of the memory of this process's own group: the limit that binds, the peak beside it, and how often it has killed.
struct MemoryUse {
  std::int64_t limit_bytes = 0;  // 0 = none
  std::int64_t peak_bytes = 0;
  std::int64_t kills = 0;
};
std::optional<MemoryUse> own_memory(const OwnGroups& own = own_groups());
/// The kills alone, which is less to read.
std::optional<std::int64_t> own_memory_kills(const OwnGroups& own = own_groups());

/// What the kernel killed long ago, and the job did without, is not why a rank fails now.
class MemoryKills {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr auto recent = std::chrono::seconds(10);
  /// A look at the counter now and then, oftener than `recent`. The first one sets what was there before.
  void look(std::int64_t count, Clock::time_point now) {
    if (count_ && count > *count_) last_new_ = now;
    count_ = count;
  }
  /// Whether there are new ones since the last look, or that one found some and isn't long ago. Never before the first look.
  bool are_recent(std::int64_t count, Clock::time_point now) const {
    return count_ && (count > *count_ || (last_new_ && now - *last_new_ < recent));
  }

 private:
  std::optional<std::int64_t> count_;
  std::optional<Clock::time_point> last_new_;
};

}  // namespace ultramarine::launcher
