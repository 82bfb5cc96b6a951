// The environment of one rank, in layers: what the submitter had, the cluster's fabric variables, torchrun's, the devices, ours.
// A later layer wins. Pure: PMIx adds its variables on top, per rank, where the process is started.
#pragma once

#include <map>
#include <string>

#include "scheduler/protocol/agent_messages.h"
#include "worker/launcher/gang_layout.h"

namespace ultramarine::launcher {

using Environment = std::map<std::string, std::string>;

/// Where programs are looked up when the submitter has no PATH.
inline constexpr const char* default_path = "/usr/local/bin:/usr/bin:/bin";

struct GangSurroundings {
  std::string master_address;   // where the ranks meet: on the node of rank 0
  std::int64_t master_port = 0;
  std::string progress_path;    // ULTRA_PROGRESS of this node
  bool loopback = false;        // the nodes of the gang reach each other on loopback addresses
};

/// The submitter's layer alone, as `command_check` sees it: PATH is always set.
Environment base_environment(const protocol::LaunchSpec& launch);

/// All layers for one rank, without MPI's.
Environment rank_environment(const protocol::LaunchSpec& launch, const GangLayout& layout, const RankPlace& place,
                             const GangSurroundings& surroundings);

}  // namespace ultramarine::launcher
