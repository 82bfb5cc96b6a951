// What an agent tells people about its machine (model/node.h, NodeFacts): clock, boot, kernel, sizes, driver, versions of programs. For
// comparing nodes with each other; nothing is decided by it.
#pragma once

#include <string>

#include "scheduler/model/node.h"

namespace ultramarine::agent {

/// Of this machine, now. What can't be found out stays 0 or "". The versions of programs are asked for once per process (each program is run,
/// two seconds at most).
NodeFacts node_facts(const std::string& state_directory, const std::string& version);

/// The driver's version in the text of /proc/driver/nvidia/version; "" when it has none.
std::string nvidia_driver_version(const std::string& text);

}  // namespace ultramarine::agent
