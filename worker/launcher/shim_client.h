// The agent's view of one shim: starts it or finds it again, keeps a connection to it, and, when it is gone, finds out how the gang
// ended: from its last report, or, if there is none, by killing what is left and reporting the loss of the supervisor.
// The loop's thread only. Never calls back from inside a call.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "scheduler/net/file_descriptor.h"
#include "scheduler/net/loop.h"
#include "scheduler/net/websocket.h"
#include "worker/launcher/job_folder.h"
#include "worker/launcher/launcher.h"
#include "worker/launcher/privileged/user.h"

namespace ultramarine::launcher {

class ShimClient : public std::enable_shared_from_this<ShimClient> {
 public:
  /// `scratch_folder`: of its attempt; "" = none. `retire`: takes a group that is to be removed once it is empty.
  ShimClient(net::Loop& loop, GangKey key, LauncherOptions options, std::string scratch_folder, std::shared_ptr<OnShimMessage> on_message,
             std::function<void(std::unique_ptr<GangGroup>)> retire);
  ~ShimClient();

  /// A new gang: makes its folder and starts its shim, soon.
  void launch(const protocol::LaunchSpec& launch);
  /// A gang of an earlier agent, soon.
  void adopt();
  /// Waits for the connection if there is none. Answered with the last report when the gang is finished.
  void send(const protocol::ToShim& message);
  /// Says the newest report again, if there is one, soon.
  void repeat();

 private:
  void launch_now(const protocol::LaunchSpec& launch);
  ShimSettings settings() const;
  void adopt_now();
  std::string find_user(std::int64_t uid);
  void start_shim(const protocol::LaunchSpec& launch);
  net::FileDescriptor listening_socket() const;
  void spare_shim();
  bool find_living_shim();
  void watch(const ProcessIdentity& process);
  void shim_gone();
  void try_connect();
  void retry_connect();
  void connected(std::shared_ptr<net::Connection> connection);
  void receive(std::string_view text);
  void resolve();
  void kill_leftovers();
  void report_loss(bool rebooted);
  void refuse(const std::string& detail);
  void finish(GangReport report);
  void finish_when_empty(GangReport report);
  void expect_end_within(std::chrono::milliseconds grace);
  void enforce();
  std::vector<std::int64_t> survivors() const;
  void find_marked(const Leftovers& leftovers);
  void kill_survivors();
  void say_stuck();
  void deliver(const protocol::FromShim& message);
  std::optional<GangReport> report_on_disk() const;
  std::optional<ShimPid> shim_on_disk() const;
  std::optional<Leftovers> leftovers_on_disk() const;
  std::vector<std::string> shim_log_tail() const;
  std::optional<LaunchOrder> order_on_disk() const;
  bool began_before_reboot() const;
  std::vector<protocol::CheckpointReport> checkpoints_on_disk() const;
  void forget_checkpoint(std::int64_t step);
  template <class Work>
  auto while_alive(Work work);

  net::Loop& loop_;
  const GangKey key_;
  const LauncherOptions options_;
  const std::string scratch_folder_;
  const JobFolder folder_;
  const std::shared_ptr<OnShimMessage> on_message_;
  const std::function<void(std::unique_ptr<GangGroup>)> retire_;
  std::unique_ptr<GangGroup> group_;  // null: its processes are found as descendants of the shim
  std::string node_;
  std::optional<SystemUser> user_;  // whom the gang runs as, where that isn't the agent's own user

  std::optional<GangReport> newest_;
  bool finished_ = false;
  bool has_spoken_ = false;
  std::optional<ProcessIdentity> shim_;  // while it lives
  int shim_descriptor_ = -1;
  std::unique_ptr<net::Loop::Watch> shim_watch_;
  std::shared_ptr<net::Connection> connection_;
  bool connecting_ = false;
  std::chrono::steady_clock::time_point connecting_since_;
  std::unique_ptr<ShortName> socket_name_;
  std::vector<protocol::ToShim> waiting_;
  std::set<ProcessIdentity> leftovers_;  // of a shim that was killed: seen, and not gone yet
  std::unique_ptr<net::Loop::Timer> timer_;
  std::unique_ptr<net::Loop::Timer> enforce_timer_;
  std::optional<std::chrono::steady_clock::time_point> enforce_at_;     // when the shim has had its time to stop the gang
  std::optional<std::chrono::steady_clock::time_point> enforced_since_;
  std::chrono::milliseconds stop_grace_{30'000};
  bool said_stuck_ = false;
  bool may_spare_ = false;  // we started it, and its ranks don't run yet
};

}  // namespace ultramarine::launcher
