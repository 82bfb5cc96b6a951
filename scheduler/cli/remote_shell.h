// ultra-rsh: what mpirun and other launchers take for an ssh. `ultra-rsh [OPTIONS] HOST COMMAND...` inside a job starts the command on that node
// of the job, as a gang of its own; there is no other way to a node, and none is needed. ssh's options are taken and have no effect.
#pragma once

#include <functional>
#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "scheduler/model/time.h"

namespace ultramarine::cli {

struct RemoteCommand {
  std::string host;
  std::string command;  // as the shell on the other side reads it: the words, joined by blanks
};

/// Throws CommandError (usage).
RemoteCommand parse_remote_command(const std::vector<std::string>& words);

/// Exit code: the command's; 255, as of ssh, when it could not be started.
int run_remote_shell(const std::vector<std::string>& words, std::map<std::string, std::string> environment, std::ostream& out, std::ostream& err,
                     std::function<Time()> now);

}  // namespace ultramarine::cli
