// The scheduler's metrics for Prometheus. Two sources: counters and histograms that listen to what happens (`on_...`, any
// thread), and gauges made from the state at each scrape, so that no series outlives its job and the sums are of one moment.
// Names, labels and units follow one catalogue (README.md); all known label values exist from the start, at 0. Knows no HTTP.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "scheduler/core/liveness.h"
#include "scheduler/core/slips.h"
#include "scheduler/model/event.h"
#include "scheduler/model/plan.h"
#include "scheduler/model/state.h"

namespace ultramarine::metrics {

/// What a scrape sees, all of one moment.
struct Scrape {
  const State& state;
  const Plan& plan;
  const core::Liveness& liveness;
  Time now_ms;
  std::int64_t agent_sessions = 0;
  std::int64_t store_bytes = 0;
  std::int64_t store_wal_bytes = 0;
  std::int64_t event_stream_clients = 0;
  std::int64_t queued_notifications = 0;
};

struct Build {
  std::string version, revision, compiler;
};

/// What the cluster file's section [metrics] says.
struct Settings {
  bool user_label = false;                          // sums of GPU time and cost also by user
  std::map<std::string, std::int64_t> peak_tflops;  // type of GPU -> 10^12 FLOP/s of one
};

class Exporter {
 public:
  Exporter(const Build& build, Time started_ms);
  ~Exporter();
  Exporter(const Exporter&) = delete;
  Exporter& operator=(const Exporter&) = delete;

  /// Goes on beside a state as it is at `now`: its running attempts and the states of its nodes are known from then on.
  void begin(Time now, const State& state);
  /// Makes the series of these accounts and partitions, at 0. Again whenever the cluster file changes.
  void know(const ClusterConfig& cluster);
  /// From the next scrape on.
  void obey(Settings settings);
  /// After `entry` was applied: `after` is the state with it.
  void on_entry(Time now, const Entry& entry, const State& after);
  /// What a node says of its devices; their utilization is that of the time since it last spoke of them. O(devices of the node).
  void on_devices(Time now, const std::string& node, DeviceSource source, const std::vector<DeviceReport>& devices);
  /// A running job got `steps` further (more than 0), which took it so long.
  void on_steps(JobId job, std::int64_t steps, Duration took);
  /// A complete plan of a state, newest after oldest. O(all jobs + queued jobs).
  void on_plan(const State& state, const Plan& plan);
  /// How long a piece of work waited for the daemon's loop.
  void on_loop_lag(double seconds);
  /// `rows` 0: an idle scheduler proved that it can write.
  void on_commit(double seconds, std::size_t rows);
  /// `phase`: decide, commit, dispatch.
  void on_round_phase(const std::string& phase, double seconds);
  /// Planned starts that moved later.
  void on_slips(const std::vector<core::Slip>& slips);
  /// `channel`: webhook, mail. `result`: delivered, retried, refused, given_up, dropped.
  void on_notification(const std::string& channel, const std::string& result);
  /// `route` is a template, never a path as asked for.
  void on_request(const std::string& route, const std::string& method, int code, double seconds);
  /// `method`: secret (an agent failed the proof), peercred (a user may not do what he asked for).
  void on_refused(const std::string& method);

  /// Prometheus text format 0.0.4, families in the order of their names.
  std::string text(const Scrape& scrape) const;

 private:
  struct Counters;
  struct Sums;
  std::unique_ptr<Counters> counters_;
  std::unique_ptr<Sums> sums_;
};

}  // namespace ultramarine::metrics
