// See impossible.h. The nodes are narrowed down as eligible.cpp does, one wish after the other; the wish after which the request no longer
// fits is the one to name.
#include "scheduler/core/impossible.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/core/eligible.h"
#include "scheduler/core/refusals.h"
#include "scheduler/core/shape.h"

namespace ultramarine::core {
namespace {

constexpr std::int64_t mebibyte = 1 << 20;
constexpr const char* see_nodes = "`ultra nodes --wide` shows what each node has";

std::string memory_in_words(std::int64_t bytes) {
  constexpr std::array<std::pair<int, const char*>, 4> units{{{40, "TiB"}, {30, "GiB"}, {20, "MiB"}, {10, "KiB"}}};
  for (const auto& [bits, name] : units)
    if (bytes > 0 && bytes % (std::int64_t{1} << bits) == 0) return std::to_string(bytes >> bits) + " " + name;
  return std::to_string(bytes) + " bytes";
}

std::vector<std::int64_t> gpus_of(const std::vector<EligibleNode>& nodes) {
  std::vector<std::int64_t> gpus;
  for (const EligibleNode& node : nodes) gpus.push_back(node.gpus);
  return gpus;
}

std::int64_t largest_of(const std::vector<std::int64_t>& gpus) { return gpus.empty() ? 0 : *std::max_element(gpus.begin(), gpus.end()); }

bool can_hold(const std::vector<std::int64_t>& gpus, const Resources& resources) { return fits(shape_of(resources, largest_of(gpus)), gpus); }

/// What narrows the nodes down, one wish after the other, and where that leaves the request.
class Narrowing {
 public:
  Narrowing(const ClusterConfig& cluster, const PartitionConfig& partition, const JobSpec& asked)
      : cluster_(cluster), partition_(partition), asked_(asked), where_("partition " + partition.name) {
    so_far_.resources = asked.resources;
  }

  /// The refusal of a request that the nodes can't hold.
  std::optional<Refusal> run() {
    if (auto refusal = too_much("partition", where_ + " has no GPUs", "use another partition")) return refusal;
    if (!asked_.gpu_type.empty()) {
      so_far_.gpu_type = asked_.gpu_type;
      wishes_.push_back("GPUs of type " + asked_.gpu_type);
      if (auto refusal = too_much("gpu_type", where_ + " has no GPUs of type " + asked_.gpu_type, other_types())) return refusal;
    }
    if (!asked_.features.empty()) {
      so_far_.features = asked_.features;
      wishes_.push_back((asked_.features.size() == 1 ? "feature " : "features ") + listed(asked_.features));
      if (auto refusal = too_much("features", "no node of " + where_ + " has " + listed_wishes(), "leave one out; " + std::string(see_nodes))) return refusal;
    }
    if (!asked_.only_nodes.empty()) {
      so_far_.only_nodes = asked_.only_nodes;
      const std::string wishes_before = wishes_.empty() ? "GPUs" : listed_wishes();
      wishes_.push_back(asked_.only_nodes.size() == 1 ? "only " + asked_.only_nodes.front() : "only the " + counted(size(asked_.only_nodes), "node") + " named");
      const std::string named = asked_.only_nodes.size() == 1 ? asked_.only_nodes.front() + " has not " : "none of the " + counted(size(asked_.only_nodes), "node") + " named has ";
      if (auto refusal = too_much("only_nodes", named + wishes_before, "name others; " + std::string(see_nodes))) return refusal;
    }
    if (!asked_.without_nodes.empty()) {
      so_far_.without_nodes = asked_.without_nodes;
      wishes_.push_back(asked_.without_nodes.size() == 1 ? "without " + asked_.without_nodes.front() : "without the " + counted(size(asked_.without_nodes), "node") + " named");
      if (auto refusal = too_much("without_nodes", "every node that it could use is excluded", "exclude fewer")) return refusal;
    }
    if (auto refusal = too_large_shares(&JobSpec::cpus_per_gpu, 1, "cpus_per_gpu", [](std::int64_t cpus) { return counted(cpus, "CPU"); })) return refusal;
    return too_large_shares(&JobSpec::memory_per_gpu_bytes, mebibyte, "memory_per_gpu_bytes",
                            [](std::int64_t bytes) { return memory_in_words(bytes) + " of memory"; });
  }

 private:
  static std::int64_t size(const std::vector<std::string>& names) { return static_cast<std::int64_t>(names.size()); }

  std::string other_types() const {
    std::set<std::string> types;
    for (const NodeConfig* node : nodes_of(cluster_, partition_))
      if (!node->gpu_type.empty()) types.insert(node->gpu_type);
    return types.empty() ? "use another partition" : "use another partition, or a type that it has: " + listed({types.begin(), types.end()});
  }

  std::string listed_wishes() const { return listed(wishes_); }

  /// " that it may use (GPUs of type A100, feature nvlink)"
  std::string restriction() const {
    if (wishes_.empty()) return "";
    std::string list;
    for (const std::string& wish : wishes_) list += (list.empty() ? "" : ", ") + wish;
    return " that it may use (" + list + ")";
  }

  /// With the wishes so far: nothing left at all (then `field` and the words for it), or too little for the request.
  std::optional<Refusal> too_much(const char* field, const std::string& nothing_left, const std::string& remedy) const {
    const std::vector<std::int64_t> gpus = gpus_of(eligible_nodes(cluster_, partition_, so_far_));
    const Resources& resources = asked_.resources;
    if (can_hold(gpus, resources)) return std::nullopt;
    const std::int64_t total = std::accumulate(gpus.begin(), gpus.end(), std::int64_t{0}), largest = largest_of(gpus);
    if (total == 0) return can_never(field, nothing_left, remedy);
    if (resources.gpus > total)
      return can_never("resources.gpus", counted(resources.gpus, "GPU") + " asked, " + where_ + " has " + std::to_string(total) + restriction(),
                       "ask for at most " + std::to_string(total));
    if (resources.gpus > 0) {
      // Nodes of different sizes: the total is there, but not as whole large nodes. What does fit below it?
      std::int64_t possible = resources.gpus - 1;
      while (!can_hold(gpus, {.gpus = possible})) --possible;  // 1 always fits
      return can_never("resources.gpus",
                       counted(resources.gpus, "GPU") + " asked as whole nodes of " + std::to_string(largest) + ", " + where_ + " has too few of them" + restriction(),
                       "ask for at most " + std::to_string(possible) + ", or give nodes and gpus_per_node");
    }
    if (resources.gpus_per_node > largest)
      return can_never("resources.gpus_per_node",
                       counted(resources.gpus_per_node, "GPU") + " per node asked, the largest node of " + where_ + restriction() + " has " + std::to_string(largest),
                       "ask for at most " + std::to_string(largest) + " per node");
    const auto large_enough = std::count_if(gpus.begin(), gpus.end(), [&](std::int64_t count) { return count >= resources.gpus_per_node; });
    return can_never("resources.nodes",
                     counted(resources.nodes, "node") + " of " + counted(resources.gpus_per_node, "GPU") + " asked, " + where_ + " has " +
                         std::to_string(large_enough) + restriction(),
                     "ask for at most " + counted(large_enough, "node"));
  }

  /// A share of each GPU that is too large for the nodes that are left, and the largest (in whole units) that isn't.
  template <class Words>
  std::optional<Refusal> too_large_shares(std::int64_t JobSpec::*share, std::int64_t unit, const char* field, Words in_words) {
    const std::int64_t asked = asked_.*share;
    if (asked <= 0) return std::nullopt;
    const auto possible = [&](std::int64_t each) {
      so_far_.*share = each;
      return can_hold(gpus_of(eligible_nodes(cluster_, partition_, so_far_)), asked_.resources);
    };
    if (possible(asked)) return std::nullopt;
    std::int64_t bad = (asked + unit - 1) / unit, good = 0;  // without shares it fits
    while (bad - good > 1) {
      const std::int64_t middle = good + (bad - good) / 2;
      (possible(middle * unit) ? good : bad) = middle;
    }
    return can_never(field, in_words(asked) + " for each of " + counted(total_gpus(asked_.resources), "GPU") + " asked, " + where_ + " has no nodes with so much" +
                                (wishes_.empty() ? "" : restriction()),
                     good == 0 ? "leave it out" : "ask for at most " + in_words(good * unit) + " per GPU");
  }

  const ClusterConfig& cluster_;
  const PartitionConfig& partition_;
  const JobSpec& asked_;
  const std::string where_;
  JobSpec so_far_;
  std::vector<std::string> wishes_;  // in words, those of so_far_
};

std::optional<Refusal> unknown_node(const ClusterConfig& cluster, const char* field, const std::vector<std::string>& names) {
  if (names.empty()) return std::nullopt;
  const std::vector<std::string> known = names_of(cluster.nodes);
  for (std::size_t i = 0; i < names.size(); ++i)
    if (std::find(known.begin(), known.end(), names[i]) == known.end())
      return refuse(std::string(field) + "[" + std::to_string(i) + "]", "no node " + quoted(names[i]), name_remedy(names[i], known));
  return std::nullopt;
}

}  // namespace

std::optional<Refusal> unknown_nodes(const ClusterConfig& cluster, const PartitionConfig& partition, const JobSpec& spec) {
  std::set<std::string> features;
  if (!spec.features.empty())
    for (const NodeConfig& node : cluster.nodes) features.insert(node.features.begin(), node.features.end());
  for (std::size_t i = 0; i < spec.features.size(); ++i)
    if (features.count(spec.features[i]) == 0)
      return refuse("features[" + std::to_string(i) + "]", "no node has feature " + quoted(spec.features[i]), name_remedy(spec.features[i], {features.begin(), features.end()}));
  if (auto refusal = unknown_node(cluster, "only_nodes", spec.only_nodes)) return refusal;
  if (auto refusal = unknown_node(cluster, "without_nodes", spec.without_nodes)) return refusal;
  if (partition.nodes.empty()) return std::nullopt;
  for (std::size_t i = 0; i < spec.only_nodes.size(); ++i)
    if (std::find(partition.nodes.begin(), partition.nodes.end(), spec.only_nodes[i]) == partition.nodes.end())
      return can_never("only_nodes[" + std::to_string(i) + "]", spec.only_nodes[i] + " is not in partition " + partition.name, "leave it out, or use another partition");
  return std::nullopt;
}

std::optional<Refusal> impossible_request(const ClusterConfig& cluster, const PartitionConfig& partition, const JobSpec& spec) {
  // Asked first: whole nodes are counted by the largest that is left, so a wish may make room for what did not fit without it.
  if (can_hold(gpus_of(eligible_nodes(cluster, partition, spec)), spec.resources)) return std::nullopt;
  return Narrowing(cluster, partition, spec).run();
}

}  // namespace ultramarine::core
