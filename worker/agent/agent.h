// The daemon of one node, around the pure agent machine: gives it what scheduler, shims and clock say and carries out what it asks
// for. Everything happens on the loop's thread. It decides nothing itself. Ending it harms no rank: the shims live on, and the next
// agent finds them again.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "scheduler/net/http.h"
#include "scheduler/net/loop.h"
#include "worker/agent/api_relay.h"
#include "worker/agent/device_watch.h"
#include "worker/agent/log_reader.h"
#include "worker/agent/options.h"
#include "worker/agent/scheduler_link.h"
#include "worker/agent/state_directory.h"
#include "worker/core/agent_machine.h"
#include "worker/devices/inventory.h"
#include "worker/devices/kernel_log.h"
#include "worker/launcher/launcher.h"
#include "worker/launcher/node_script.h"
#include "worker/metrics/node_metrics.h"

namespace ultramarine::agent {

class Agent {
 public:
  using MakeLauncher =
      std::function<std::unique_ptr<launcher::Launcher>(net::Loop&, const std::string& jobs_folder, launcher::OnShimMessage, launcher::OnTrouble)>;
  /// The agent can't go on; called once, on the loop's thread. What it says is one line with the remedy.
  using OnFatal = std::function<void(const AgentError&)>;

  /// Takes the state directory's lock. Throws AgentError.
  Agent(net::Loop& loop, AgentOptions options, std::unique_ptr<devices::Inventory> inventory, const MakeLauncher& make_launcher,
        OnFatal on_fatal, Backoff backoff = {});
  ~Agent();

  /// Finds the gangs of an earlier agent, opens the API's socket and, if asked to, /metrics, and connects. Throws AgentError (one of them can't
  /// be opened).
  void start();
  /// Where /metrics really listens.
  std::optional<net::Endpoint> metrics_endpoint() const;

 private:
  using Input = std::function<worker_core::Actions()>;

  void adopt();
  void listen_for_api();
  void listen_for_metrics();
  void on_message(std::string_view text);
  void on_welcome(const protocol::Welcome& welcome);
  void handle(Input input);
  void carry_out(worker_core::Action action);
  void act(worker_core::Remember&);
  void act(worker_core::Send& action);
  void act(worker_core::LaunchPrepare& action);
  void act(worker_core::TellShim& action);
  void act(worker_core::ForgetGang& action);
  void arm_wakeup();
  void check_health();
  void sample_devices();
  void watch_devices();
  void follow_kernel_log();
  void tell_watch(const std::function<void(DeviceWatch&)>& work);
  std::string fill_in_devices(protocol::LaunchSpec& launch) const;
  void on_trouble(const protocol::NodeTrouble& trouble);
  void refresh_metrics();
  void fail(const AgentError& error);
  Time now() const;

  net::Loop& loop_;
  const AgentOptions options_;
  const OnFatal on_fatal_;
  const Time started_ms_;  // wall clock; now() goes on from there with the steady clock, so it never goes back
  const std::chrono::steady_clock::time_point started_;
  StateDirectory state_;
  worker_core::AgentMachine machine_;
  std::unique_ptr<devices::Inventory> inventory_;
  std::vector<DeviceReport> samples_;
  worker_metrics::NodeMetrics metrics_;
  std::unique_ptr<launcher::Launcher> launcher_;
  SchedulerLink link_;
  LogReader logs_;
  std::pair<std::int64_t, std::chrono::steady_clock::time_point> heartbeat_sent_;  // the newest: its number, and when
  bool is_welcome_ = false;  // the scheduler listens to this agent
  ApiRelay relay_;
  std::unique_ptr<net::Server> metrics_server_;
  std::unique_ptr<net::Loop::Timer> wakeup_, sample_timer_, welcome_timer_, health_timer_;
  std::unique_ptr<launcher::NodeScript> health_check_;  // while it runs
  std::vector<launcher::ProcessIdentity> stuck_checks_;  // processes of earlier ones that SIGKILL didn't end
  // Of real devices only.
  std::unique_ptr<DeviceWatch> device_watch_;
  std::map<std::int64_t, worker_metrics::DeviceDetails> details_;  // by device
  std::unique_ptr<devices::KernelLog> kernel_log_;
  std::unique_ptr<net::Loop::Watch> kernel_watch_;
  std::unique_ptr<net::Loop::Timer> device_timer_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for what other threads post

  std::deque<Input> inputs_;
  bool handling_ = false;
  bool failed_ = false;
  std::string last_problem_;  // of the line to the scheduler, so that a lasting one is logged once
};

/// Of this program, from the build.
std::string agent_version();

}  // namespace ultramarine::agent
