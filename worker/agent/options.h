// What one agent runs with: its node's part of the cluster file, the command line and the cluster secret, all checked.
#pragma once

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>

#include "scheduler/model/cluster.h"
#include "scheduler/net/endpoint.h"
#include "scheduler/net/websocket.h"
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
  bool root_jobs = false;
};

struct AgentOptions {
  NodeConfig node;
  std::string address;  // where the ranks of other nodes reach this one
  net::Endpoint scheduler;
  std::optional<net::Endpoint> metrics;
  bool dcgm_names = false;  // there, real GPUs also under these
  net::LineTimes line;  // to the scheduler
  std::chrono::milliseconds welcome_patience{TimeoutsConfig{}.welcome_ms.ms}, reconnect_max{TimeoutsConfig{}.reconnect_max_ms.ms};
  std::string secret;
  std::string state_directory;
  std::int64_t log_bytes_max = 1 << 30;  // of a job's output that is kept
  std::string containment = "auto";
  std::int64_t processes_max = 0;        // of a job on this node
  std::int64_t minimum_uid = 1000;       // of the owners of jobs, where this agent is root
  bool root_jobs = false;
  bool private_tmp = false;
  std::string prolog, epilog, health_check;  // programs of the site; "" = none
  std::chrono::milliseconds script_deadline{50'000}, health_interval{60'000}, unkillable_after{10'000};
  // Of nodes with real devices.
  std::string nvml_library, kernel_log;  // "" = the driver's; "" = none
  Duration device_release_ms{30'000};    // how long the end of a gang waits for the driver to let go of its devices
  std::int64_t device_tolerance_bytes = std::int64_t{1} << 30;  // of a device's memory that may be in use then
};

/// Throws AgentError, or protocol::ConfigError for what is wrong in the file itself. `host_name`: of this machine.
AgentOptions resolve_options(const protocol::ClusterFile& file, const CommandLine& command_line, const std::string& host_name);

/// Where others reach /metrics that listens at `listens`, on a node that they reach at `address`; "" = they can't: a Unix socket, or a loopback address
/// of a node that is not this machine for them.
std::string metrics_for_others(const std::optional<net::Endpoint>& listens, const std::string& address);

/// What stands against jobs that have a /tmp and /dev/shm of their own, in one sentence; "" = nothing. Who isn't root can't give them any, and in these
/// places nothing may lie that the jobs need: our folder (`state_directory`) and the program that supervises them.
std::string why_no_private_tmp(bool is_root, const std::string& state_directory, const std::string& shim_program);

/// Half of the processes and threads that this kernel allows, at most 32768: one job can't keep the agent and its neighbours from forking.
std::int64_t default_processes_max();

/// The secret without the white space around it. Throws AgentError unless the file is ours and for our eyes only.
std::string read_secret(const std::string& path);

}  // namespace ultramarine::agent
