// A node as the scheduler knows it: its configuration plus what was learned about it.
#pragma once

#include <boost/describe.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/model/cluster.h"
#include "scheduler/model/job.h"

namespace ultramarine {

/// suspect after some silence (no new placements), unreachable after more (TimeoutsConfig). `down`: no agent has joined yet.
BOOST_DEFINE_FIXED_ENUM_CLASS(NodeState, std::uint8_t, up, suspect, unreachable, draining, drained, down)
BOOST_DEFINE_FIXED_ENUM_CLASS(DeviceSource, std::uint8_t, virtual_devices, nvml)

/// What an agent says of its machine when it connects, so that people can compare nodes. Nothing is decided by it.
struct NodeFacts {
  Time clock_ms;                                // of the node, when it said this
  Time boot_ms;                                 // when the machine was booted
  std::string agent_version;
  std::string kernel;                           // as `uname -sr` says it
  std::int64_t cpus = 0;
  std::int64_t memory_bytes = 0;
  std::int64_t disk_free_bytes = 0;             // of the file system of the agent's state directory
  std::string state_directory;
  std::string driver;                           // of the GPUs, in one line; "" = there is none, or nobody looked
  std::string containment;                      // what holds a gang together: cgroup_v2, cgroup_v1 or process_groups
  std::vector<std::string> limits;              // that it can set: memory, pids, cpu, devices
  std::map<std::string, std::string> programs;  // name -> version, of those that jobs may need: python3, mpirun ...
  bool operator==(const NodeFacts&) const = default;
};
BOOST_DESCRIBE_STRUCT(NodeFacts, (), (clock_ms, boot_ms, agent_version, kernel, cpus, memory_bytes, disk_free_bytes, state_directory, driver, containment, limits, programs))

/// Somebody's wish that the node take no new gangs.
struct Drain {
  std::string reason;  // never empty
  Actor actor;
  Time since_ms;
  bool operator==(const Drain&) const = default;
};
BOOST_DESCRIBE_STRUCT(Drain, (), (reason, actor, since_ms))

/// Somebody has said that an unreachable node is off: nothing runs there any more.
struct DeclaredLoss {
  std::string reason;
  Actor actor;
  Time since_ms;
  bool operator==(const DeclaredLoss&) const = default;
};
BOOST_DESCRIBE_STRUCT(DeclaredLoss, (), (reason, actor, since_ms))

struct Node {
  NodeConfig config;
  NodeState state = NodeState::down;
  Time since_ms;               // when it entered that state
  std::string boot_id;         // of the machine's current boot, from its agent
  Time boot_seen_ms;           // when that boot was first heard of: what ran before it is gone
  std::string agent_version;
  std::string address;         // where the ranks of other nodes reach it
  std::optional<Drain> drain;  // kept through silence and restarts until somebody resumes the node
  std::int64_t refusals = 0;   // launches in a row that it refused for reasons of its own
  std::optional<DeclaredLoss> lost;  // until its agent is heard again
  bool launches_as_owner = false;  // its agent is root: each job runs as who submitted it. Else all run as the agent's user
  bool operator==(const Node&) const = default;
};
BOOST_DESCRIBE_STRUCT(Node, (), (config, state, since_ms, boot_id, boot_seen_ms, agent_version, address, drain, refusals, lost, launches_as_owner))

}  // namespace ultramarine
