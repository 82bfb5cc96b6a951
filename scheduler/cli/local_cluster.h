// A whole cluster on this machine, under one folder: one scheduler and one agent per virtual node. Knows files and
// processes of that folder; asks the scheduler over its API like everybody else.
#pragma once

#include <boost/describe.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/cli/cluster_text.h"
#include "scheduler/cli/daemon_process.h"
#include "scheduler/cli/interrupt.h"
#include "scheduler/cli/terminal.h"
#include "scheduler/protocol/api_messages.h"

namespace ultramarine::cli {

struct DaemonView {
  std::string name;  // scheduler, or the agent's node
  std::int64_t pid = 0;
  bool running = false;
};
BOOST_DESCRIBE_STRUCT(DaemonView, (), (name, pid, running))

/// --json of the cluster verbs.
struct LocalView {
  std::string home;
  std::string socket;
  std::string http;  // "" = none
  bool up = false;   // the scheduler answers
  DaemonView scheduler;
  std::vector<DaemonView> agents;
  std::optional<protocol::ClusterView> cluster;  // when it answers
};
BOOST_DESCRIBE_STRUCT(LocalView, (), (home, socket, http, up, scheduler, agents, cluster))
std::string to_json_text(const LocalView& view);

/// One `up` or `down` at a time in a folder: held as long as it lives. Throws CommandError (conflict) when another is
/// at work.
class LocalLock {
 public:
  explicit LocalLock(const std::string& home);
  ~LocalLock();
  LocalLock(const LocalLock&) = delete;
  LocalLock& operator=(const LocalLock&) = delete;

 private:
  int fd_ = -1;
};

class LocalCluster {
 public:
  enum class Malformed { is_an_error, is_ignored };
  /// `programs`: the folder of ultra-scheduler and ultra-agent. Reads cluster.toml if there is one. Throws CommandError
  /// when it is malformed, unless that is ignored: then the usual paths hold.
  LocalCluster(std::string home, std::string programs, Malformed malformed = Malformed::is_an_error);

  /// Makes the folder and what belongs in it; true when the folder itself was made now. Throws CommandError: not ours,
  /// not writable, holds other things, or its socket's path would be too long.
  static bool prepare_home(const std::string& home);

  bool configured() const { return configured_; }
  const std::string& socket() const { return socket_; }
  const std::string& http() const { return http_; }
  const std::vector<std::string>& nodes() const { return nodes_; }

  /// What of `wanted` the file says otherwise (all of it when there is no file). Port 0 of `http` stands for any free
  /// one, also the file's.
  ClusterChanges differing(const ClusterChanges& wanted) const;
  /// Writes cluster.toml (the given changes; ports 0 become free ones) and, if missing, the secret.
  void configure(ClusterChanges changes);
  /// A TCP address that another program listens at: throws CommandError that names the option.
  void check_ports();

  std::optional<Process> scheduler() const;
  std::map<std::string, Process> agents() const;  // running ones, by node; also of nodes that the file no longer has
  bool anything_runs() const;
  LocalView view() const;

  /// Starts what isn't running and waits until the scheduler is ready and all nodes are up. Throws CommandError with
  /// the last line of the log of a daemon that dies meanwhile, or Interrupted. What it started is in `started` even
  /// then.
  void start_missing(Progress& progress, const Interrupt& interrupt);
  const std::vector<Process>& started() const { return started_; }

  /// Stops scheduler, agents and what is left of shims and ranks, by signals. No questions, no requeue.
  void stop_daemons(Progress& progress);
  /// Processes of shims and ranks that run under this folder.
  std::vector<Process> gang_processes() const;

 private:
  struct Watched {
    DaemonFiles files;
    std::string program;
    Process process;
    std::uint64_t log_from;
  };
  void read_file();
  Watched start(const std::string& name, const std::string& program, const std::vector<std::string>& arguments);
  void check_alive(const std::vector<Watched>& watched) const;
  DaemonFiles files_of(const std::string& name) const;

  std::string home_, programs_, socket_, http_, agents_address_, policy_;
  std::vector<std::string> nodes_;
  std::vector<std::int64_t> gpus_;
  bool configured_ = false;
  std::vector<Process> started_;
};

/// The folder of the running program, where its sisters are.
std::string programs_folder();

}  // namespace ultramarine::cli
