// Which GPU each device index of this node stands for: found again after a restart of the agent or the machine, so that an index never changes its GPU
// only because the driver lists them in another order.
#pragma once

#include <string>
#include <vector>

#include "worker/devices/real_inventory.h"

namespace ultramarine::agent {

/// The file that `write_device_record` writes.
std::string device_record(const std::string& state_directory);
/// UUIDs by index; empty when none were ever recorded.
std::vector<std::string> read_device_record(const std::string& state_directory);
/// Writes when something has changed. Throws AgentError.
void write_device_record(const std::string& state_directory, const std::vector<devices::RealDevice>& devices);

}  // namespace ultramarine::agent
