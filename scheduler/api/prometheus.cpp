// Where Prometheus finds metrics: its http_sd_configs read this list again and again, so that a node that is added to the cluster is scraped too.
// A node stays in it when its agent falls silent (then `up` is 0); after a restart of the scheduler it is back as soon as its agent is.
#include "scheduler/api/handlers.h"

namespace ultramarine::api {

namespace {

std::vector<protocol::PrometheusTargets> prometheus_targets(const Snapshot& snapshot) {
  std::vector<protocol::PrometheusTargets> all;
  if (!snapshot.http.empty()) all.push_back({{snapshot.http}, {{"job", "ultramarine-scheduler"}}});
  for (const auto& [name, node] : snapshot.state->nodes) {
    const auto live = snapshot.liveness->nodes.find(name);
    if (live == snapshot.liveness->nodes.end() || live->second.metrics.empty()) continue;
    all.push_back({{live->second.metrics}, {{"job", "ultramarine-agent"}, {"instance", name}}});
  }
  return all;
}

}  // namespace

void list_prometheus_targets(const ExchangePtr& exchange) {
  exchange->backend.ask([exchange](const SnapshotPtr& snapshot) { exchange->answer(prometheus_targets(*snapshot)); });
}

}  // namespace ultramarine::api
