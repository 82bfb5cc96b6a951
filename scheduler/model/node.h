// A node as the scheduler knows it: its configuration plus what was learned about it.
#pragma once

#include <boost/describe.hpp>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/model/cluster.h"

namespace ultramarine {

/// suspect after 5 s of silence (no new placements), unreachable after 10 s. `down`: no agent has joined yet.
BOOST_DEFINE_FIXED_ENUM_CLASS(NodeState, std::uint8_t, up, suspect, unreachable, draining, drained, down, quarantined)
BOOST_DEFINE_FIXED_ENUM_CLASS(DeviceSource, std::uint8_t, virtual_devices, nvml)

constexpr Duration suspect_after{5'000};
constexpr Duration unreachable_after{10'000};

struct Node {
  NodeConfig config;
  NodeState state = NodeState::down;
  Time since_ms;               // when it entered that state
  std::string boot_id;         // of the machine's current boot, from its agent
  Time boot_seen_ms;           // when that boot was first heard of: what ran before it is gone
  std::string agent_version;
  std::string address;         // where the ranks of other nodes reach it
  std::string reason;          // of a drain; who and why
  bool operator==(const Node&) const = default;
};
BOOST_DESCRIBE_STRUCT(Node, (), (config, state, since_ms, boot_id, boot_seen_ms, agent_version, address, reason))

}  // namespace ultramarine
