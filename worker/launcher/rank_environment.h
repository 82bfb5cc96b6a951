// The environment of one rank, in layers: the cluster's fabric variables, what the submitter had, torchrun's, Slurm's, the devices, ours.
// A later layer wins. Three kinds of processes: the rank of a plain job (torchrun's and ours), a script (Slurm's and ours; a script computes its
// own RANK and MASTER_ADDR), and a rank of a gang that `ultra run` started inside a script (all of them).
// Pure: PMIx adds its variables on top, per rank, where the process is started.
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
  std::string api_socket;       // ULTRA_SOCKET: the scheduler's API, through this node's agent; "" = none
  std::string scratch_folder;   // of this attempt on this node; "" = none
  std::string host_file, hydra_host_file;  // for an mpirun inside a script; "" = none
  std::string remote_shell;     // path of ultra-rsh; "" = none
  std::string helper_folder;    // of a launcher's helper on another node (see mpirun_environment.h); "" = it is none
  std::int64_t cpus = 1;        // that processes may use on this node
  Time now_ms;                  // of the start
};

/// The submitter's layer alone, as `command_check` sees it: PATH is always set. Without the variables of launchers that he may himself sit inside.
Environment base_environment(const protocol::LaunchSpec& launch);

/// All layers for one rank, without MPI's.
Environment rank_environment(const protocol::LaunchSpec& launch, const GangLayout& layout, const RankPlace& place,
                             const GangSurroundings& surroundings);

/// Of the attempt: `launch.job_allocation`, or the gang's where they are the same.
const Allocation& job_allocation(const protocol::LaunchSpec& launch);
/// "0,2,5".
std::string list_of(const std::vector<std::int64_t>& numbers);

}  // namespace ultramarine::launcher
