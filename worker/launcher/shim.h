// One gang on one node, from its preparation to the last process: starts the ranks, watches them, enforces the time limit, stops
// everything at the first failure, and tells what happened. Outlives the agent; works from its job folder alone (files:
// scheduler/protocol/shim_messages.h). It supervises by being everybody's ancestor: as subreaper it inherits every orphan, so "no
// child left" means that no process of the gang is left. Knows no scheduler and decides nothing that another node could see differently.
//
//   preparing -> prepared -> running -> stopping -> finished        (any of them may go straight to finished)
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/net/http.h"
#include "scheduler/net/loop.h"
#include "scheduler/net/websocket.h"
#include "scheduler/protocol/shim_messages.h"
#include "worker/launcher/cpu_binding.h"
#include "worker/launcher/containment/containment.h"
#include "worker/launcher/gang_layout.h"
#include "worker/launcher/hang_watch.h"
#include "worker/launcher/job_folder.h"
#include "worker/launcher/mpi_support.h"
#include "worker/launcher/output_files.h"
#include "worker/launcher/output_keeper.h"
#include "worker/launcher/port_reservation.h"
#include "worker/launcher/progress_collector.h"
#include "worker/launcher/rank_terminal.h"

namespace ultramarine::launcher {

/// What only some gangs need, and what libraries are behind that take longer to load than a small job runs. Null in the program for all others, which
/// refuses a gang that needs one (needs_full_shim).
struct ShimParts {
  MakeMpiSupport make_mpi;
  std::function<std::optional<NodeCores>(bool with_gpus)> read_cores;
};

class Shim {
 public:
  Shim(net::Loop& loop, std::string folder, ShimParts parts);
  ~Shim();
  /// Runs the loop until the gang is finished and said so. Returns the process's exit code: 0 when a report is on disk.
  int run();

 private:
  struct Rank {
    RankPlace place;
    pid_t pid = -1;
    bool ended = false;
    bool in_mpi = false;  // between MPI_Init and MPI_Finalize
    RankResult result;
  };

  // shim_start.cpp: preparation and start
  void prepare();
  std::string find_program();
  std::string reachable_socket(const std::string& path, const std::string& name);
  void begin_mpi();
  std::vector<Cpus> bound_ranks(const std::vector<RankPlace>& places) const;
  void start(const protocol::Start& message);
  void start_ranks(const protocol::Start& message);
  enum class NodeAtFault : bool {};  // the job may run elsewhere
  void refuse(const std::string& detail, NodeAtFault node_at_fault = {});

  // shim.cpp: the gang's life
  bool take_folder();
  void write_pid() const;
  void finish();
  void conclude();
  void leave_after_the_others();
  void leave();

  // shim_supervision.cpp: processes
  void on_signal(int signal);
  void reap();
  void ask_later_for_finalize();
  bool awaits_finalize() const;
  void on_mpi_presence(std::int64_t number, bool is_in);
  void record_end(Rank& rank, int status, std::int64_t memory_kib, Duration cpu_time);
  void note_failure(Rank& rank);
  void watch_memory();
  std::vector<HangWatch::RankProcess> judged_ranks() const;
  void on_abort(std::int64_t rank, std::int64_t status, const std::string& message);
  void stop_after_checkpoint(int signal, Duration grace);
  void terminate();
  void stop(Outcome outcome, Duration grace);
  void kill_everything();
  Duration failure_grace() const;
  void arm_time_limit();
  void arm_time_limit(Duration left);
  void allow(Duration time);
  bool hears_warnings() const;
  void arm_warning(Duration left);
  void arm_self_stop();
  std::chrono::milliseconds checkpoint_patience() const;
  void take(const protocol::Lease& lease);
  void look_for_company();
  std::chrono::milliseconds longest_patience() const;
  void end_alone();
  void warn(int signal);

  // shim_reports.cpp: agent and disk
  void listen_for_agent();
  void on_agent(std::shared_ptr<net::Connection> connection);
  void on_message(std::string_view text);
  GangReport report() const;
  bool publish();
  void say(const protocol::FromShim& message);
  void write_leftovers();
  std::string outside_folder();
  void arm_start_wait();

  net::Loop& loop_;
  JobFolder folder_;
  GangKey key_;
  int lock_ = -1;
  ShimPid self_;
  protocol::LaunchSpec launch_;
  ShimSettings settings_;
  GangLayout layout_{Allocation{}};
  std::string program_;
  Leftovers leftovers_;
  std::string outside_folder_;  // made when first needed

  GangPhase phase_ = GangPhase::preparing;
  bool start_seen_ = false;
  GangPeer peer_;
  std::vector<Rank> ranks_;
  std::optional<Outcome> outcome_;
  std::optional<Failure> failure_;
  std::optional<std::int64_t> aborting_rank_;  // called MPI_Abort and is given a moment to exit with its own code
  bool killing_ = false;                       // SIGKILL was sent by us
  bool leaving_ = false;
  MemoryKills memory_kills_;
  std::unique_ptr<net::Loop::Timer> memory_timer_;
  std::chrono::steady_clock::time_point started_;
  std::chrono::steady_clock::time_point kill_at_;

  const ShimParts parts_;
  std::unique_ptr<MpiSupport> mpi_;
  PortReservation master_port_;
  std::unique_ptr<HangWatch> hang_watch_;
  std::unique_ptr<ProgressCollector> progress_;
  GangSurroundings surroundings_;
  OutputFiles outputs_;
  std::unique_ptr<RankTerminal> terminal_;  // of its one rank, when it has one
  std::unique_ptr<OutputKeeper> keeper_;  // while ranks may write
  std::unique_ptr<ShortName> socket_name_;
  std::unique_ptr<net::Server> server_;
  std::shared_ptr<net::Connection> agent_;
  std::unique_ptr<net::Loop::Timer> time_limit_;
  Duration allowed_;                                  // for the ranks to run
  std::chrono::steady_clock::time_point ranks_since_;
  std::unique_ptr<net::Loop::Timer> warning_;
  std::unique_ptr<net::Loop::Timer> self_stop_;
  std::chrono::steady_clock::time_point lease_;  // when the scheduler was last known to hear this node
  std::chrono::milliseconds promised_{0};        // in the last report: how long this part will live on alone
  std::chrono::milliseconds kept_{0};            // ... of which the scheduler is known to have heard
  std::unique_ptr<net::Loop::Timer> checkpoint_wait_;  // its program was asked to save; SIGTERM comes after
  std::unique_ptr<net::Loop::Timer> kill_timer_;
  std::unique_ptr<net::Loop::Timer> abort_timer_;
  std::unique_ptr<net::Loop::Timer> finalize_wait_;
  bool finalize_over_ = false;
  std::unique_ptr<net::Loop::Timer> start_wait_;
  std::unique_ptr<net::Loop::Timer> leave_timer_;
};

/// All of a shim's program.
int shim_main(int argument_count, char** arguments, ShimParts parts);

}  // namespace ultramarine::launcher
