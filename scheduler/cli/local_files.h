// Where a local cluster keeps its things: names of files and folders under $ULTRA_HOME, and which socket the commands
// talk to.
//   cluster.toml secret scheduler.sock scheduler/ agents/NODE/ logs/NAME.log run/NAME.pid cluster.lock
#pragma once

#include <map>
#include <optional>
#include <string>

namespace ultramarine::cli {

/// $ULTRA_HOME made absolute, else ~/.ultramarine. Throws CommandError when there is no home either.
std::string home_folder(const std::map<std::string, std::string>& environment);

/// Of the scheduler that an installation runs as a service.
constexpr const char* service_socket = "/run/ultramarine/scheduler.sock";

/// --socket, else $ULTRA_SOCKET, else scheduler.sock in `home`; where that is not, and $ULTRA_HOME doesn't ask for it, the service's
/// (`service`) when there is one. Throws CommandError when a Unix socket can't have that
/// path.
std::string socket_path(const std::optional<std::string>& option, const std::map<std::string, std::string>& environment,
                        const std::string& home, const std::string& service = service_socket);

inline std::string cluster_file(const std::string& home) { return home + "/cluster.toml"; }
inline std::string secret_file(const std::string& home) { return home + "/secret"; }
inline std::string socket_file(const std::string& home) { return home + "/scheduler.sock"; }
inline std::string agents_folder(const std::string& home) { return home + "/agents"; }
inline std::string log_file(const std::string& home, const std::string& name) {
  return home + "/logs/" + name + ".log";
}
inline std::string pid_file(const std::string& home, const std::string& name) { return home + "/run/" + name + ".pid"; }

}  // namespace ultramarine::cli
