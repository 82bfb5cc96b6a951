// So that an mpirun inside a script starts its processes over all nodes of the job and takes itself for nobody else's: one table, a row for each
// variable of each launcher (Open MPI 4, Open MPI 5 with PRRTE, MPICH's Hydra, Intel MPI). On the script's node they start ranks themselves; on
// other nodes through `ultra-rsh`, which they take for an ssh.
#pragma once

#include <string>

#include "worker/launcher/rank_environment.h"

namespace ultramarine::launcher {

/// Set by `ultra-rsh` for the gang that it starts: its one process is a launcher's helper on another node.
inline constexpr const char* remote_shell_mark = "ULTRA_REMOTE_SHELL";

/// For a script and the gangs of its `ultra run`. What the user has set himself stays.
void add_mpirun_layer(Environment& environment, const GangSurroundings& surroundings, bool virtual_devices);

/// Whether the table has it.
bool is_for_mpirun(const std::string& variable);

/// For a launcher's helper on another node. Nodes that share a host share its name: session folders and segments of shared memory must not meet.
void add_remote_helper_layer(Environment& environment, const std::string& folder);

/// Places on each node: Open MPI's host file, and Hydra's.
struct HostFiles {
  std::string open_mpi, hydra;
};
HostFiles host_files(const protocol::LaunchSpec& script);

}  // namespace ultramarine::launcher
