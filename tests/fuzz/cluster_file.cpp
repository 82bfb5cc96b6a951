// Any bytes as a cluster file and as a policy file: either a ConfigError with a place, or a configuration within its limits.
#include <string_view>

#include "scheduler/protocol/config.h"
#include "tests/fuzz/fuzz.h"

using namespace ultramarine;
using namespace ultramarine::protocol;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const ClusterFile file = parse_cluster_file(text, "/fuzz/cluster.toml");
    require(!file.cluster.nodes.empty() && file.cluster.nodes.size() <= 4096, "1 to 4096 nodes");
    require(!file.cluster.partitions.empty() && !file.cluster.accounts.empty() && !file.cluster.qos.empty(), "defaults are filled in");
    for (const auto& node : file.cluster.nodes) require(node.gpus >= 1 && node.gpus <= 1024 && !node.name.empty(), "nodes are within limits");
    for (const auto& partition : file.cluster.partitions) require(!partition.nodes.empty(), "partitions have nodes");
  } catch (const ConfigError& error) {
    require(error.where.starts_with("/fuzz/cluster.toml:"), "errors say where");
    require(!error.problem.empty(), "errors say what");
  }
  try {
    const PolicyConfig policy = parse_policy(text, "policy.toml");
    require(policy.half_life_ms.ms > 0 && policy.priority_interval_ms.ms > 0, "policies are within limits");
  } catch (const ConfigError& error) {
    require(error.where.starts_with("policy.toml:"), "errors say where");
  }
  return 0;
}
