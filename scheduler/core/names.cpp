// See names.h.
#include "scheduler/core/names.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "scheduler/core/refusals.h"
#include "scheduler/core/shape.h"

namespace ultramarine::core {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_letters(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

std::vector<std::string> gpu_types(const std::vector<const NodeConfig*>& nodes) {
  std::set<std::string> types;
  for (const NodeConfig* node : nodes)
    if (!node->gpu_type.empty()) types.insert(node->gpu_type);
  return {types.begin(), types.end()};
}

std::vector<std::string> gpu_types(const ClusterConfig& cluster) {
  std::vector<const NodeConfig*> nodes;
  for (const NodeConfig& node : cluster.nodes) nodes.push_back(&node);
  return gpu_types(nodes);
}

void map_name(std::string& name, const char* noun, const std::vector<std::string>& known, const std::map<std::string, std::string>& aliases,
              std::vector<std::string>& warnings) {
  if (name.empty() || std::find(known.begin(), known.end(), name) != known.end()) return;
  const auto alias = std::find_if(aliases.begin(), aliases.end(), [&](const auto& entry) { return entry.first != "*" && same_letters(entry.first, name); });
  if (alias != aliases.end()) {
    if (!same_letters(alias->second, name)) warnings.push_back(std::string(noun) + " " + quoted(name) + " is called " + quoted(alias->second) + " here");
    name = alias->second;
    return;
  }
  const auto own = std::find_if(known.begin(), known.end(), [&](const std::string& ours) { return same_letters(ours, name); });
  if (own != known.end()) {
    name = *own;
    return;
  }
  if (const auto any = aliases.find("*"); any != aliases.end()) {
    warnings.push_back(std::string(noun) + " " + quoted(name) + " is not known here: " + (any->second.empty() ? "the default" : quoted(any->second)) + " is used instead");
    name = any->second;
  }
}

}  // namespace

void map_names(const ClusterConfig& cluster, JobSpec& spec, std::vector<std::string>& warnings) {
  if (spec.strict_names) return;
  map_name(spec.partition, "partition", names_of(cluster.partitions), cluster.names.partitions, warnings);
  map_name(spec.account, "account", names_of(cluster.accounts), cluster.names.accounts, warnings);
  map_name(spec.qos, "QOS", names_of(cluster.qos), cluster.names.qos, warnings);
  map_name(spec.gpu_type, "GPU type", gpu_types(cluster), cluster.names.gpu_types, warnings);
}

std::optional<Refusal> check_gpu_type(const ClusterConfig& cluster, const PartitionConfig& partition, const JobSpec& spec, std::vector<std::string>& warnings) {
  if (spec.gpu_type.empty()) return std::nullopt;
  const std::vector<std::string> known = gpu_types(cluster);
  if (std::find(known.begin(), known.end(), spec.gpu_type) == known.end())
    return refuse("gpu_type", "no GPUs of type " + quoted(spec.gpu_type), name_remedy(spec.gpu_type, known));
  const std::vector<std::string> there = gpu_types(nodes_of(cluster, partition));
  if (std::find(there.begin(), there.end(), spec.gpu_type) == there.end())
    return can_never("gpu_type", "partition " + partition.name + " has no GPUs of type " + spec.gpu_type,
                     there.empty() ? "use another partition" : "use another partition, or a type that it has: " + listed(there));
  if (there.size() > 1)
    warnings.push_back("partition " + partition.name + " has GPUs of types " + listed(there) + ", and places are not chosen by type: the job may get any of them");
  return std::nullopt;
}

}  // namespace ultramarine::core
