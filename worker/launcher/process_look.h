// What the processes of ranks do at one moment, as /proc shows it, and what two such looks say together: who is stopped, who works, who sleeps where.
// Knows no gang; reads only.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "scheduler/model/gang_report.h"
#include "worker/launcher/process_tree.h"

namespace ultramarine::launcher {

struct ProcessLook {
  std::string program;
  char state = '?';             // of the whole process: T or t when a thread is stopped, then Z, D, R, else S
  std::int64_t cpu_ticks = 0;   // used so far
  std::string wait;             // of the main thread, where it sleeps in the kernel; "" = it doesn't, or may not be known
  std::int64_t system_call = -1;
};
/// By process, the rank's own among them, and all below it.
using TreeLook = std::map<ProcessIdentity, ProcessLook>;

/// One look at each of these processes and all that descend from them. O(processes of the machine).
std::vector<TreeLook> look_at(const std::vector<std::int64_t>& pids);

/// "process 123 (python3, state D)"; without what isn't to be known of it.
std::string described(std::int64_t pid);

/// What the two looks at the tree of `pid` say together; the rank's number and counts stay empty.
RankStillness compare(std::int64_t pid, const TreeLook& first, const TreeLook& second, Duration between);

}  // namespace ultramarine::launcher
