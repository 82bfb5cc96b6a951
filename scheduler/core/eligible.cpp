// See eligible.h.
#include "scheduler/core/eligible.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "scheduler/core/shape.h"

namespace ultramarine::core {
namespace {

using Names = std::set<std::string_view>;

bool has_all(const NodeConfig& node, const std::vector<std::string>& features) {
  return std::all_of(features.begin(), features.end(), [&](const std::string& feature) {
    return std::find(node.features.begin(), node.features.end(), feature) != node.features.end();
  });
}

/// How many shares of `each` are in `all`; what is not asked for, or not known, is no bound.
std::int64_t shares(std::int64_t all, std::int64_t each, std::int64_t otherwise) { return each <= 0 || all <= 0 ? otherwise : all / each; }

std::int64_t gpus_for(const NodeConfig& node, const JobSpec& spec) {
  const std::int64_t by_cpus = shares(node.cpus, spec.cpus_per_gpu, node.gpus);
  return std::min({node.gpus, by_cpus, shares(node.memory_bytes, spec.memory_per_gpu_bytes, node.gpus)});
}

}  // namespace

std::vector<EligibleNode> eligible_nodes(const ClusterConfig& cluster, const PartitionConfig& partition, const JobSpec& spec) {
  const Names of_partition(partition.nodes.begin(), partition.nodes.end());
  const Names only(spec.only_nodes.begin(), spec.only_nodes.end()), without(spec.without_nodes.begin(), spec.without_nodes.end());
  std::vector<EligibleNode> nodes;
  for (const NodeConfig& node : cluster.nodes) {
    if (!of_partition.empty() && of_partition.count(node.name) == 0) continue;
    if (!spec.gpu_type.empty() && node.gpu_type != spec.gpu_type) continue;
    if (!has_all(node, spec.features)) continue;
    if ((!only.empty() && only.count(node.name) == 0) || without.count(node.name) > 0) continue;
    if (const std::int64_t gpus = gpus_for(node, spec); gpus > 0) nodes.push_back({&node, gpus});
  }
  std::sort(nodes.begin(), nodes.end(), [](const EligibleNode& a, const EligibleNode& b) { return comes_before(a.node->name, b.node->name); });
  return nodes;
}

}  // namespace ultramarine::core
