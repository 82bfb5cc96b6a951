// The files that people write: one cluster file for all daemons, and policy files. TOML goes through the same codec as
// everything else, strictly; every error names file, line and column, the field, what is wrong and the nearest right word.
#pragma once

#include <boost/describe.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "scheduler/model/cluster.h"

namespace ultramarine::protocol {

/// [scheduler] of the cluster file. Paths may be relative to the file; "" takes the default that is named.
struct SchedulerSection {
  std::string state_directory;                     // scheduler/ beside the file: journal, 0700
  std::string socket;                              // scheduler.sock beside the file: the API, identity from SO_PEERCRED
  std::string http = "127.0.0.1:8642";             // the API without identity: cluster, queue, metrics; loopback only; "" = none; port 0 = any
  std::string agents = "127.0.0.1:8643";           // agents connect here
  bool trusted_network = false;                    // must be true for an address of `agents` that is not loopback
  std::string secret_file;                         // secret beside the file; 0600
  std::string policy = "default";                  // a policy's name or file
};
BOOST_DESCRIBE_STRUCT(SchedulerSection, (), (state_directory, socket, http, agents, trusted_network, secret_file, policy))

/// [agent] of the cluster file.
struct AgentSection {
  std::string state_directory;     // agents/NODE beside the file: job folders and logs, 0700
  std::string scheduler;           // host:port of the scheduler's `agents`; "" = [scheduler].agents
  std::string metrics;             // host:port of the agent's own /metrics; "" = none
  std::string secret_file;         // as the scheduler's
  std::int64_t log_bytes_max = 0;  // of the output that is kept of a job that doesn't say itself; 0 = 1 GiB
};
BOOST_DESCRIBE_STRUCT(AgentSection, (), (state_directory, scheduler, metrics, secret_file, log_bytes_max))

struct ClusterFile {
  ClusterConfig cluster;  // hostlists expanded, defaults (partition main, account default, QOS normal) filled in
  SchedulerSection scheduler;
  AgentSection agent;
  std::string folder;     // absolute; where the defaults of both sections lie
};

/// `where` is file:line:column; any part may be "". what() is all of it in one line.
struct ConfigError : std::runtime_error {
  ConfigError(std::string where_, std::string field_, std::string problem_, std::string remedy_);
  std::string where, field, problem, remedy;
};

/// Reads and checks everything; paths come back absolute, filled in where the file says none, except the agent's state_directory:
/// agent_state_directory knows that one. Throws ConfigError (also when the file can't be read).
ClusterFile load_cluster_file(const std::string& path);
/// `file_name` is for messages and for the folder that relative paths start from.
ClusterFile parse_cluster_file(std::string_view text, const std::string& file_name);

/// Of one node's agent: what [agent] says, or agents/NODE beside the file.
std::string agent_state_directory(const ClusterFile& file, const std::string& node);

/// By name (default, fifo ...: those in configs/policies, embedded) or by path (contains '/' or ends in .toml).
PolicyConfig load_policy(const std::string& name_or_path);
/// The same for a daemon: refuses policies that let running jobs yield, which only simulations run.
PolicyConfig load_daemon_policy(const std::string& name_or_path);
PolicyConfig parse_policy(std::string_view text, const std::string& file_name);

/// The cluster file that `ultra cluster up` starts from: 8 nodes of 8 virtual H100s (configs/clusters/local.toml, embedded).
std::string_view local_cluster_text();

}  // namespace ultramarine::protocol
