// Starts a program as a user, for good: the one place where root's rights are given up on somebody's behalf. What runs through here is the
// supervisor of a gang; ranks, scripts and all that come later are its children, and have no way back.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "worker/launcher/privileged/own_mounts.h"
#include "worker/launcher/privileged/user.h"

namespace ultramarine::launcher {

/// The steps in their order; each ends the start when it fails.
enum class PrivilegedStep : int {
  none, fork, control_group, session, streams, mounts, limits, bounding_set, groups, gid, uid, no_way_back, capabilities, no_new_privileges, directory, program
};
/// For messages: "setresuid", ...
const char* name_of(PrivilegedStep step);

struct ResourceLimit {
  int resource = 0;  // RLIMIT_...
  rlim_t soft = 0, hard = 0;
};

struct UserStart {
  SystemUser user;                     // from look_up_user
  std::string program;                 // absolute path
  std::vector<std::string> arguments;  // with the program's name
  std::string log_file;                // both outputs, appended to; opened as the user
  std::vector<std::string> entrances;  // of the control group that the process is born in
  std::vector<ResourceLimit> limits;   // that aren't to be the agent's own; set as root. No word of the user may be in them
  OwnMounts mounts;
  int input = -1;                      // its standard input, which the caller keeps; -1 = /dev/null
};

struct UserStartResult {
  pid_t pid = -1;  // when `step` is none
  PrivilegedStep step = PrivilegedStep::none;
  int error_number = 0;
};

/// The process is nobody's child, in a session of its own, with nothing of ours but standard streams and an environment of five variables that
/// say who it is. Returns after the exec, or within seconds when the user keeps it from that.
UserStartResult start_as_user(const UserStart& start);

}  // namespace ultramarine::launcher
