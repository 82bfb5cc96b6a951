#include "scheduler/metrics/gpus_by_use.h"

#include <algorithm>
#include <map>

namespace ultramarine::metrics {

namespace {

std::vector<std::string> partitions_of(const State& state, const std::string& node) {
  std::vector<std::string> names;
  for (const PartitionConfig& partition : state.cluster.partitions)
    if (partition.nodes.empty() || std::find(partition.nodes.begin(), partition.nodes.end(), node) != partition.nodes.end())
      names.push_back(partition.name);
  return names;
}

bool is_reserved(const State& state, const std::string& node, Time now) {
  return std::any_of(state.reservations.begin(), state.reservations.end(), [&](const auto& entry) {
    const Reservation& one = entry.second;
    return one.start_ms <= now && now < one.end_ms && std::find(one.nodes.begin(), one.nodes.end(), node) != one.nodes.end();
  });
}

GpuUse use_of_free(const State& state, const std::string& name, const Node& node, Time now) {
  switch (node.state) {
    case NodeState::up: return is_reserved(state, name, now) ? GpuUse::reserved : GpuUse::idle;
    case NodeState::draining:
    case NodeState::drained: return GpuUse::draining;
    default: return GpuUse::down;
  }
}

}  // namespace

std::vector<GpusOfNode> gpus_by_use(const State& state, Time now) {
  std::map<std::string, std::int64_t> held;
  for (const auto& [id, job] : state.jobs) {
    if (!is_active(job.state) || job.attempts.empty()) continue;
    for (const NodeAllocation& part : job.attempts.back().allocation) held[part.node] += static_cast<std::int64_t>(part.devices.size());
  }
  std::vector<GpusOfNode> all;
  for (const auto& [name, node] : state.nodes) all.push_back({partitions_of(state, name), node.config.gpus, held[name], use_of_free(state, name, node, now)});
  return all;
}

}  // namespace ultramarine::metrics
