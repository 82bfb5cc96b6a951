#include "worker/launcher/command_check.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace ultramarine::launcher {
namespace {

/// 0 when `path` is a file that we may run, else an errno.
int why_not_runnable(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return errno;
  if (S_ISDIR(status.st_mode)) return EISDIR;
  if (::access(path.c_str(), X_OK) != 0) return errno;
  return 0;
}

std::string absolute(const std::string& path, const std::string& from) { return path.starts_with('/') ? path : from + "/" + path; }

}  // namespace

std::string refused_program(const std::string& program, int error_number, const std::string& node) {
  switch (error_number) {
    case ENOENT:
      return "cannot run " + program + " on " + node + ": the interpreter in its #! line does not exist there";
    case ENOTDIR:
      return "command not found: " + program + " does not exist on " + node;
    case EISDIR:
      return "cannot run " + program + " on " + node + ": it is a directory";
    case EACCES:
      return "cannot run " + program + " on " + node + ": permission denied (chmod +x makes a script executable)";
    case ENOEXEC:
      return "cannot run " + program + " on " + node + ": not a program for this machine (a script needs a first line such as #!/bin/sh)";
    case E2BIG:
      return "cannot run " + program + " on " + node + ": arguments and environment are too long (export fewer variables)";
    default:
      return "cannot run " + program + " on " + node + ": " + std::strerror(error_number);
  }
}

std::string refused_directory(const std::string& directory, int error_number, const std::string& node) {
  switch (error_number) {
    case ENOENT:
      return "working directory " + directory + " does not exist on " + node;
    case ENOTDIR:
      return "working directory " + directory + " on " + node + " is not a directory";
    case EACCES:
      return "working directory " + directory + " on " + node + " may not be entered: permission denied";
    default:
      return "working directory " + directory + " on " + node + " can't be entered: " + std::strerror(error_number);
  }
}

std::string working_directory_problem(const std::string& working_directory, const std::string& node) {
  if (!working_directory.starts_with('/')) return "working directory \"" + working_directory + "\" is not an absolute path";
  struct stat status {};
  int problem = 0;
  if (::stat(working_directory.c_str(), &status) != 0) {
    problem = errno;
  } else if (!S_ISDIR(status.st_mode)) {
    problem = ENOTDIR;
  } else if (::access(working_directory.c_str(), X_OK) != 0) {
    problem = errno;
  }
  return problem == 0 ? "" : refused_directory(working_directory, problem, node);
}

CommandCheck check_command(const std::vector<std::string>& command, const std::string& working_directory, const Environment& environment,
                           const std::string& node) {
  if (command.empty() || command.front().empty()) return {"", "the job has no command"};
  if (const std::string problem = working_directory_problem(working_directory, node); !problem.empty()) return {"", problem};

  const std::string& name = command.front();
  if (name.find('/') != std::string::npos) {
    const std::string path = absolute(name, working_directory);
    const int reason = why_not_runnable(path);
    if (reason == 0) return {path, ""};
    if (reason == ENOENT) return {"", "command not found: " + path + " does not exist on " + node};
    return {"", refused_program(path, reason, node)};
  }

  const auto found = environment.find("PATH");
  const std::string path = found == environment.end() ? default_path : found->second;
  int near_miss = 0;
  std::string near_miss_path;
  std::string_view rest = path;
  while (true) {
    const std::size_t colon = rest.find(':');
    const std::string folder(rest.substr(0, colon));
    const std::string candidate = absolute((folder.empty() ? "." : folder) + "/" + name, working_directory);
    const int reason = why_not_runnable(candidate);
    if (reason == 0) return {candidate, ""};
    if (reason == EACCES && near_miss == 0) {
      near_miss = reason;
      near_miss_path = candidate;
    }
    if (colon == std::string_view::npos) break;
    rest.remove_prefix(colon + 1);
  }
  if (near_miss != 0) return {"", refused_program(near_miss_path, near_miss, node)};
  return {"", "command not found: " + name + " is in no folder of the job's PATH on " + node};
}

}  // namespace ultramarine::launcher
