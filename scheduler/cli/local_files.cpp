#include "scheduler/cli/local_files.h"

#include <pwd.h>
#include <unistd.h>

#include <filesystem>

#include "scheduler/cli/command_error.h"
#include "scheduler/cli/environment.h"
#include "scheduler/cli/language.h"
#include "scheduler/net/endpoint.h"

namespace ultramarine::cli {
namespace {

std::string absolute(const std::string& path) {
  std::string text = std::filesystem::absolute(path).lexically_normal().string();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

}  // namespace

std::string home_folder(const std::map<std::string, std::string>& environment) {
  if (const std::string given = value_of(environment, "ULTRA_HOME"); !given.empty()) return absolute(given);
  std::string home = value_of(environment, "HOME");
  if (home.empty()) {
    const passwd* user = getpwuid(geteuid());
    if (user) home = user->pw_dir;
  }
  if (home.empty())
    usage_error("ULTRA_HOME", spoken("neither it nor HOME is set"),
                spoken("set ULTRA_HOME to a folder for the cluster's state"));
  return absolute(home + "/.ultramarine");
}

std::string socket_path(const std::optional<std::string>& option, const std::map<std::string, std::string>& environment,
                        const std::string& home, const std::string& service) {
  std::string path, field;
  std::error_code error;
  if (option)
    path = absolute(*option), field = "--socket";
  else if (const std::string given = value_of(environment, "ULTRA_SOCKET"); !given.empty())
    path = absolute(given), field = "ULTRA_SOCKET";
  else if (value_of(environment, "ULTRA_HOME").empty() && !std::filesystem::exists(socket_file(home), error) &&
           std::filesystem::exists(service, error))
    return service;
  else
    path = socket_file(home), field = "ULTRA_HOME";
  if (path.size() > net::unix_path_max) {
    usage_error(field,
                spoken("{0} has {1} characters, a socket's path at most {2}", path, path.size(), net::unix_path_max),
                field == "ULTRA_HOME" ? spoken("choose a shorter ULTRA_HOME") : spoken("choose a shorter path"));
  }
  return path;
}

}  // namespace ultramarine::cli
