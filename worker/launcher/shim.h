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
#include "worker/launcher/gang_layout.h"
#include "worker/launcher/gang_star.h"
#include "worker/launcher/job_folder.h"
#include "worker/launcher/output_files.h"
#include "worker/launcher/output_keeper.h"
#include "worker/launcher/pmix_server.h"
#include "worker/launcher/port_reservation.h"
#include "worker/launcher/progress_collector.h"

namespace ultramarine::launcher {

class Shim {
 public:
  Shim(net::Loop& loop, std::string folder);
  ~Shim();
  /// Runs the loop until the gang is finished and said so. Returns the process's exit code: 0 when a report is on disk.
  int run();

 private:
  struct Rank {
    RankPlace place;
    pid_t pid = -1;
    bool ended = false;
    RankResult result;
  };

  // shim_start.cpp: preparation and start
  void prepare();
  std::string find_program();
  std::string reachable_socket(const std::string& path, const std::string& name);
  bool wants_pmix() const;
  void start(const protocol::Start& message);
  void start_ranks(const protocol::Start& message);
  void refuse(const std::string& detail);

  // shim.cpp: the gang's life
  bool take_folder();
  void finish();
  void conclude();
  void leave_after_the_others();
  void leave();

  // shim_supervision.cpp: processes
  void on_signal(int signal);
  void reap();
  void record_end(Rank& rank, int status, std::int64_t memory_kib, Duration cpu_time);
  void note_failure(Rank& rank);
  void on_abort(std::int64_t rank, std::int64_t status, const std::string& message);
  void stop(Outcome outcome, Duration grace);
  void kill_everything();
  Duration failure_grace() const;
  void arm_time_limit();
  void arm_warning(Duration left);
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
  std::optional<std::int64_t> memory_kills_before_;
  std::chrono::steady_clock::time_point started_;
  std::chrono::steady_clock::time_point kill_at_;

  std::unique_ptr<PmixServer> pmix_;
  std::unique_ptr<GangStar> star_;
  PortReservation master_port_;
  std::unique_ptr<ProgressCollector> progress_;
  GangSurroundings surroundings_;
  OutputFiles outputs_;
  std::unique_ptr<OutputKeeper> keeper_;  // while ranks may write
  std::unique_ptr<ShortName> socket_name_;
  std::unique_ptr<net::Server> server_;
  std::shared_ptr<net::Connection> agent_;
  std::unique_ptr<net::Loop::Timer> time_limit_;
  std::unique_ptr<net::Loop::Timer> warning_;
  std::unique_ptr<net::Loop::Timer> kill_timer_;
  std::unique_ptr<net::Loop::Timer> abort_timer_;
  std::unique_ptr<net::Loop::Timer> start_wait_;
  std::unique_ptr<net::Loop::Timer> leave_timer_;
};

}  // namespace ultramarine::launcher
