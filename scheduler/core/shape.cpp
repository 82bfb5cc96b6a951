// See shape.h.
#include "scheduler/core/shape.h"

#include <algorithm>

namespace ultramarine::core {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// The run of digits at `position`, without leading zeros; moves `position` behind it.
std::string_view take_number(std::string_view text, std::size_t& position) {
  while (position < text.size() && text[position] == '0') ++position;
  const std::size_t first = position;
  while (position < text.size() && is_digit(text[position])) ++position;
  return text.substr(first, position - first);
}

}  // namespace

Shape shape_of(const Resources& resources, std::int64_t gpus_per_node_max) {
  if (resources.gpus <= 0) return {resources.nodes, resources.gpus_per_node, 0};
  if (gpus_per_node_max <= 0) return {0, 0, resources.gpus};
  return {resources.gpus / gpus_per_node_max, gpus_per_node_max, resources.gpus % gpus_per_node_max};
}

bool fits(const Shape& shape, const std::vector<std::int64_t>& devices) {
  std::int64_t for_a_part = 0, for_the_remainder = 0;
  for (const std::int64_t count : devices) {
    if (count >= shape.devices_per_part) ++for_a_part;
    if (count >= shape.remainder) ++for_the_remainder;
  }
  // The remainder is smaller than a part, so every node that holds a part could hold it too.
  return for_a_part >= shape.parts && (shape.remainder == 0 || for_the_remainder >= shape.parts + 1);
}

bool comes_before(std::string_view left, std::string_view right) {
  std::size_t i = 0, j = 0;
  while (i < left.size() && j < right.size()) {
    if (is_digit(left[i]) && is_digit(right[j])) {
      const std::string_view a = take_number(left, i), b = take_number(right, j);
      if (a.size() != b.size()) return a.size() < b.size();
      if (a != b) return a < b;
    } else {
      if (left[i] != right[j]) return static_cast<unsigned char>(left[i]) < static_cast<unsigned char>(right[j]);
      ++i, ++j;
    }
  }
  const bool left_ended = i == left.size(), right_ended = j == right.size();
  if (left_ended != right_ended) return left_ended;
  return left < right;  // equal but for leading zeros: a total order all the same
}

const PartitionConfig* find_partition(const ClusterConfig& cluster, std::string_view name) {
  for (const PartitionConfig& partition : cluster.partitions)
    if (partition.name == name) return &partition;
  return nullptr;
}

std::vector<const NodeConfig*> nodes_of(const ClusterConfig& cluster, const PartitionConfig& partition) {
  std::vector<const NodeConfig*> nodes;
  for (const NodeConfig& node : cluster.nodes)
    if (partition.nodes.empty() || std::find(partition.nodes.begin(), partition.nodes.end(), node.name) != partition.nodes.end())
      nodes.push_back(&node);
  std::sort(nodes.begin(), nodes.end(), [](const NodeConfig* a, const NodeConfig* b) { return comes_before(a->name, b->name); });
  return nodes;
}

}  // namespace ultramarine::core
