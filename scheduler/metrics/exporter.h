// The scheduler's metrics for Prometheus. Two sources: counters and histograms that listen to what happens (`on_...`, any
// thread), and gauges made from the state at each scrape, so that no series outlives its job and the sums are of one moment.
// Names, labels and units follow one catalogue (README.md); all known label values exist from the start, at 0. Knows no HTTP.
#pragma once

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
};

struct Build {
  std::string version, revision, compiler;
};

class Exporter {
 public:
  Exporter(const Build& build, Time started_ms);
  ~Exporter();
  Exporter(const Exporter&) = delete;
  Exporter& operator=(const Exporter&) = delete;

  /// Makes the series of these accounts and partitions, at 0. Again whenever the cluster file changes.
  void know(const ClusterConfig& cluster);
  /// After `entry` was applied: `after` is the state with it.
  void on_entry(Time now, const Entry& entry, const State& after);
  /// `rows` 0: an idle scheduler proved that it can write.
  void on_commit(double seconds, std::size_t rows);
  /// `phase`: decide, commit, dispatch.
  void on_round_phase(const std::string& phase, double seconds);
  /// Planned starts that moved later.
  void on_slips(const std::vector<core::Slip>& slips);
  /// `route` is a template, never a path as asked for.
  void on_request(const std::string& route, const std::string& method, int code, double seconds);
  /// `method`: secret (an agent failed the proof), peercred (a user may not do what he asked for).
  void on_refused(const std::string& method);

  /// Prometheus text format 0.0.4, families in the order of their names.
  std::string text(const Scrape& scrape) const;

 private:
  struct Counters;
  std::unique_ptr<Counters> counters_;
};

}  // namespace ultramarine::metrics
