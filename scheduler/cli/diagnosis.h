// What `ultra doctor` looks at, one function for each thing: what was found, whether that is well, and what to do.
// Looks only; changes nothing but a file of its own that it removes again.
#pragma once

#include <boost/describe.hpp>
#include <string>
#include <vector>

#include "scheduler/cli/verb.h"
#include "scheduler/protocol/api_messages.h"

namespace ultramarine::cli {

BOOST_DEFINE_FIXED_ENUM_CLASS(Health, std::uint8_t, ok, warning, failed)

struct Finding {
  std::string check;  // a word that scripts may test
  Health result = Health::ok;
  std::string found;   // one sentence
  std::string remedy;  // "" when it is well
};
BOOST_DESCRIBE_STRUCT(Finding, (), (check, result, found, remedy))

// ---- of this machine
Finding check_programs(const std::string& folder);
/// Programs that jobs are likely to want. `path`: $PATH.
Finding check_command(const std::string& name, const std::string& path, const std::string& remedy);
Finding check_shared_memory(const std::string& folder = "/dev/shm");
/// `needed`: nodes of this machine have real GPUs.
Finding check_driver(bool needed, const std::string& version_file = "/proc/driver/nvidia/version");
Finding check_clock_is_kept();
Finding check_open_files();
/// What [fabric] of the cluster file names against what this machine has: interfaces, adapters, memory that may be locked.
Finding check_fabric(const FabricConfig& fabric, const std::string& interfaces = "/sys/class/net", const std::string& adapters = "/sys/class/infiniband");
// ---- of a folder
Finding check_disk(const std::string& what, const std::string& folder);
/// Only its owner may enter; a secret in it only he may read.
Finding check_permissions(const std::string& home);
/// Whether locks hold there, as the journal needs them.
Finding check_locks(const std::string& folder);
/// Whether other machines can see it; `others`: nodes that are not this machine.
Finding check_shared_folder(const std::string& folder, const std::vector<std::string>& others);
// ---- of the cluster
/// Clock of the scheduler against ours, asked between `before` and `after`.
Finding check_clock(Time before, Time scheduler, Time after);
/// Clocks of the nodes against the scheduler's, as they were when each agent connected; the way of its word counts as difference.
Finding check_node_clocks(const std::vector<protocol::NodeView>& nodes);
Finding check_version(const std::string& who, const std::string& version);
/// Somebody answers at a TCP address.
Finding check_port(const std::string& what, const std::string& address);

}  // namespace ultramarine::cli
