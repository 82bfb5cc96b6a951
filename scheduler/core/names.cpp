// See names.h.
#include "scheduler/core/names.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "scheduler/core/refusals.h"

namespace ultramarine::core {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_letters(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

std::vector<std::string> gpu_types(const ClusterConfig& cluster) {
  std::set<std::string> types;
  for (const NodeConfig& node : cluster.nodes)
    if (!node.gpu_type.empty()) types.insert(node.gpu_type);
  return {types.begin(), types.end()};
}

std::vector<std::string> features(const ClusterConfig& cluster) {
  std::set<std::string> features;
  for (const NodeConfig& node : cluster.nodes) features.insert(node.features.begin(), node.features.end());
  return {features.begin(), features.end()};
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

/// Of a list, a name that means nothing here is left out.
void map_list(std::vector<std::string>& names, const char* noun, const std::vector<std::string>& known, const std::map<std::string, std::string>& aliases,
              std::vector<std::string>& warnings) {
  for (std::string& name : names) {
    std::vector<std::string> said;
    std::string ours = name;
    map_name(ours, noun, known, aliases, said);
    if (ours.empty() && !name.empty()) said = {std::string(noun) + " " + quoted(name) + " is not known here: it is left out"};
    warnings.insert(warnings.end(), said.begin(), said.end());
    name = std::move(ours);
  }
  std::erase(names, "");
}

/// At many sites the type of a node's GPUs is one of its features. Here it is asked for as a type.
void take_types_out_of_features(const ClusterConfig& cluster, JobSpec& spec, std::vector<std::string>& warnings) {
  const std::vector<std::string> known = features(cluster), types = gpu_types(cluster);
  std::erase_if(spec.features, [&](const std::string& feature) {
    const auto is_it = [&](const std::string& ours) { return same_letters(ours, feature); };
    const auto type = std::find_if(types.begin(), types.end(), is_it);
    const bool is_feature = std::any_of(known.begin(), known.end(), is_it) ||
                            std::any_of(cluster.names.features.begin(), cluster.names.features.end(), [&](const auto& alias) { return is_it(alias.first); });
    if (is_feature || type == types.end() || (!spec.gpu_type.empty() && spec.gpu_type != *type)) return false;
    warnings.push_back("feature " + quoted(feature) + " is a GPU type here: " + *type);
    spec.gpu_type = *type;
    return true;
  });
}

}  // namespace

void map_names(const ClusterConfig& cluster, JobSpec& spec, std::vector<std::string>& warnings) {
  if (spec.strict_names) return;
  map_name(spec.partition, "partition", names_of(cluster.partitions), cluster.names.partitions, warnings);
  map_name(spec.account, "account", names_of(cluster.accounts), cluster.names.accounts, warnings);
  map_name(spec.qos, "QOS", names_of(cluster.qos), cluster.names.qos, warnings);
  map_name(spec.gpu_type, "GPU type", gpu_types(cluster), cluster.names.gpu_types, warnings);
  if (spec.gpu_type == "*") spec.gpu_type.clear();
  if (!spec.features.empty()) take_types_out_of_features(cluster, spec, warnings);
  if (!spec.features.empty()) map_list(spec.features, "feature", features(cluster), cluster.names.features, warnings);
  if (spec.only_nodes.empty() && spec.without_nodes.empty()) return;
  const std::vector<std::string> nodes = names_of(cluster.nodes);
  map_list(spec.only_nodes, "node", nodes, cluster.names.nodes, warnings);
  map_list(spec.without_nodes, "node", nodes, cluster.names.nodes, warnings);
}

std::optional<Refusal> check_gpu_type(const ClusterConfig& cluster, const JobSpec& spec) {
  const std::vector<std::string> known = gpu_types(cluster);
  if (spec.gpu_type.empty() || std::find(known.begin(), known.end(), spec.gpu_type) != known.end()) return std::nullopt;
  return refuse("gpu_type", "no GPUs of type " + quoted(spec.gpu_type), name_remedy(spec.gpu_type, known));
}

}  // namespace ultramarine::core
