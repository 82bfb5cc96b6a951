#include "worker/agent/options.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "scheduler/protocol/text_forms.h"

namespace ultramarine::agent {
namespace {

std::string short_name(const std::string& host) { return host.substr(0, host.find('.')); }

const NodeConfig& find_node(const protocol::ClusterFile& file, const CommandLine& command_line, const std::string& host_name) {
  std::vector<std::string> names;
  for (const NodeConfig& node : file.cluster.nodes) {
    names.push_back(node.name);
    if (command_line.node.empty() ? node.name == host_name || node.name == short_name(host_name) : node.name == command_line.node) return node;
  }
  const std::string known = protocol::fold_hostlist(names);
  if (command_line.node.empty())
    throw AgentError(exit_usage, command_line.config + ": node: no [[node]] is called like this host (" + host_name +
                                     "); pass --node NAME, one of " + known);
  throw AgentError(exit_usage, "--node: " + command_line.config + " has no node " + command_line.node + "; it has " + known);
}

net::Endpoint endpoint(const std::string& text, const std::string& field, bool to_connect) {
  const auto parsed = net::parse_endpoint(text);
  if (!parsed) throw AgentError(exit_usage, field + ": expected HOST:PORT or unix:/PATH, got \"" + text + "\"");
  if (to_connect && !parsed->is_unix() && parsed->port == 0)
    throw AgentError(exit_usage, field + ": port 0 can't be connected to; name the port that the scheduler listens on");
  return *parsed;
}

}  // namespace

std::int64_t default_processes_max() {
  std::int64_t allowed = 65536;
  for (const char* path : {"/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"}) {
    std::ifstream file(path);
    if (std::int64_t value = 0; file >> value) allowed = std::min(allowed, value);
  }
  return allowed / 2;
}

AgentOptions resolve_options(const protocol::ClusterFile& file, const CommandLine& command_line, const std::string& host_name) {
  AgentOptions options{.node = find_node(file, command_line, host_name)};
  options.address = options.node.address.empty() ? options.node.name : options.node.address;
  options.scheduler = file.agent.scheduler.empty() ? endpoint(file.scheduler.agents, "scheduler.agents", true)
                                                   : endpoint(file.agent.scheduler, "agent.scheduler", true);
  if (!command_line.metrics.empty()) options.metrics = endpoint(command_line.metrics, "--metrics", false);
  else if (!file.agent.metrics.empty()) options.metrics = endpoint(file.agent.metrics, "agent.metrics", false);
  options.dcgm_names = file.agent.dcgm_names;
  options.state_directory = protocol::agent_state_directory(file, options.node.name);
  if (file.agent.log_bytes_max < 0)
    throw AgentError(exit_usage, command_line.config + ": agent.log_bytes_max: must not be negative; 0 means 1 GiB");
  if (file.agent.log_bytes_max > 0) options.log_bytes_max = file.agent.log_bytes_max;
  options.minimum_uid = file.agent.minimum_uid;
  options.root_jobs = file.agent.root_jobs || command_line.root_jobs;
  options.private_tmp = file.agent.private_tmp;
  options.prolog = file.agent.prolog;
  options.epilog = file.agent.epilog;
  options.health_check = file.agent.health_check;
  options.script_deadline = std::chrono::milliseconds(file.agent.script_deadline_ms.ms);
  const TimeoutsConfig& timeouts = file.cluster.timeouts;
  options.line = {.open = std::chrono::milliseconds(timeouts.connect_ms.ms),
                  .silence = std::chrono::milliseconds(timeouts.line_silence_ms.ms),
                  .unacknowledged = std::chrono::milliseconds(timeouts.line_unacknowledged_ms.ms)};
  options.welcome_patience = std::chrono::milliseconds(timeouts.welcome_ms.ms);
  options.reconnect_max = std::chrono::milliseconds(timeouts.reconnect_max_ms.ms);
  options.unkillable_after = std::chrono::milliseconds(timeouts.unkillable_ms.ms);
  options.health_interval = std::chrono::milliseconds(file.agent.health_interval_ms.ms);
  options.containment = file.agent.containment;
  options.nvml_library = file.agent.nvml_library;
  options.kernel_log = file.agent.kernel_log;
  options.device_release_ms = file.agent.device_release_ms;
  options.device_tolerance_bytes = file.agent.device_tolerance_bytes;
  options.processes_max = file.agent.processes_max > 0 ? file.agent.processes_max : default_processes_max();
  options.secret = read_secret(file.agent.secret_file);
  return options;
}

std::string metrics_for_others(const std::optional<net::Endpoint>& listens, const std::string& address) {
  if (!listens || listens->is_unix()) return "";
  const bool everywhere = listens->host == "0.0.0.0" || listens->host == "::";
  if (everywhere) return net::Endpoint{.host = address, .port = listens->port}.text();
  if (net::is_loopback(*listens) && !net::is_loopback({.host = address})) return "";
  return listens->text();
}

std::string why_no_private_tmp(bool is_root, const std::string& state_directory, const std::string& shim_program) {
  if (!is_root) return "agent.private_tmp: only an agent that is root can give jobs a /tmp of their own; run it as root, or leave private_tmp out";
  for (const std::string& path : {state_directory, shim_program}) {
    std::error_code missing;
    const std::string real = std::filesystem::weakly_canonical(path, missing).string();
    for (const char* hidden : {"/tmp/", "/dev/shm/"})
      if (real.starts_with(hidden)) return "agent.private_tmp: jobs with a /tmp and /dev/shm of their own could not see " + path + "; have it elsewhere, or leave private_tmp out";
  }
  return "";
}

std::string read_secret(const std::string& path) {
  const auto fail = [&](int code, const std::string& why) { return AgentError(code, "secret_file: " + path + " " + why); };
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const std::string why = std::strerror(errno);
    throw fail(exit_usage, "can't be read: " + why + "; copy the scheduler's secret file there, mode 0600");
  }
  struct stat status {};
  std::string text(4097, '\0');
  const bool known = fstat(fd, &status) == 0;
  const ssize_t length = read(fd, text.data(), text.size());
  close(fd);
  if (!known || !S_ISREG(status.st_mode) || length < 0) throw fail(exit_usage, "is no readable file");
  if (status.st_uid != geteuid())
    throw fail(exit_usage, "belongs to uid " + std::to_string(status.st_uid) + ", not to the agent's uid " + std::to_string(geteuid()) +
                               "; give the agent a copy of its own");
  if ((status.st_mode & 077) != 0) {
    std::array<char, 8> mode{};
    std::snprintf(mode.data(), mode.size(), "%04o", static_cast<unsigned>(status.st_mode & 07777));
    throw fail(exit_usage, std::string("can be read by others (mode ") + mode.data() + "); run: chmod 600 " + path);
  }
  if (length > 4096) throw fail(exit_usage, "is longer than 4096 bytes; is it the right file?");
  text.resize(static_cast<std::size_t>(length));
  constexpr const char* blanks = " \t\r\n";
  const auto first = text.find_first_not_of(blanks);
  if (first == std::string::npos) throw fail(exit_usage, "is empty; copy the scheduler's secret file there");
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

}  // namespace ultramarine::agent
