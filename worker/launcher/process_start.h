// fork and exec, twice: a rank (child of the shim, dies with it) and a shim (nobody's child, outlives the agent). Between fork and
// exec only async-signal-safe calls are made, because other threads of the parent may hold any lock; what goes wrong there
// comes back through a pipe that a successful exec closes.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "worker/launcher/privileged/own_mounts.h"
#include "worker/launcher/process_tree.h"
#include "worker/launcher/rank_environment.h"

namespace ultramarine::launcher {

/// The step of a start that failed.
enum class StartStep : int { none, output, fork, containment, mounts, directory, program, supervisor };

struct StartResult {
  pid_t pid = -1;                      // when `step` is none
  StartStep step = StartStep::none;
  int error_number = 0;
};

struct RankStart {
  std::string program;                 // absolute path
  std::vector<std::string> arguments;  // with the program's name as typed
  Environment environment;
  std::string working_directory;
  std::vector<int> cpus;               // that it stays on; empty = wherever its starter may run
  int terminal = -1;                   // becomes its controlling terminal and all three streams, in a session of its own
  std::int64_t memlock_bytes = 0;      // may be locked in memory: -1 = no limit, 0 = as its starter
  int output = -1, error = -1;         // open for writing; the caller keeps them. -1 = /dev/null
};

/// The rank has its own process group, /dev/null as input (unless it has a terminal), no other descriptor of ours, default signals, umask 022, and is killed when the
/// calling thread's process ends. Returns after the exec.
StartResult start_rank(const RankStart& start);

/// Starts `program` in a session of its own, as a child of nobody, with the caller's environment and both outputs appended to `log_file`.
/// `entrances`: of the control group that it is born in; `mounts`: only of a caller that is root; `input`: -1 = /dev/null, else the caller keeps it.
/// Returns after the exec.
StartResult start_detached(const std::string& program, const std::vector<std::string>& arguments, const std::string& log_file,
                           const std::vector<std::string>& entrances = {}, const OwnMounts& mounts = {}, int input = -1);

}  // namespace ultramarine::launcher
