// What one agent runs with: its node's part of the cluster file, the command line and the cluster secret, all checked.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>

#include "scheduler/model/cluster.h"
#include "scheduler/net/endpoint.h"
#include "scheduler/protocol/config.h"

namespace ultramarine::agent {

/// The agent can't run like this; `what` is one line with the remedy.
struct AgentError : std::runtime_error {
  AgentError(int exit_code_, const std::string& message) : std::runtime_error(message), exit_code(exit_code_) {}
  int exit_code;  // 1 failure, 2 usage or configuration, 6 somebody else has it
};
constexpr int exit_failure = 1, exit_usage = 2, exit_conflict = 6;

/// What the command line says; "" = not said.
struct CommandLine {
  std::string config, node, metrics;
};

struct AgentOptions {
  NodeConfig node;
  std::string address;  // where the ranks of other nodes reach this one
  net::Endpoint scheduler;
  std::optional<net::Endpoint> metrics;
  std::string secret;
  std::string state_directory;
  std::int64_t log_bytes_max = 1 << 30;  // of a job's output that is kept
};

/// Throws AgentError, or protocol::ConfigError for what is wrong in the file itself. `host_name`: of this machine.
AgentOptions resolve_options(const protocol::ClusterFile& file, const CommandLine& command_line, const std::string& host_name);

/// The secret without the white space around it. Throws AgentError unless the file is ours and for our eyes only.
std::string read_secret(const std::string& path);

}  // namespace ultramarine::agent
