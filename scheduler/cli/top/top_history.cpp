#include "scheduler/cli/top/top_history.h"

#include <set>

namespace ultramarine::cli {
namespace {

void push(History& history, std::optional<std::int64_t> value) {
  history.push_back(value);
  if (history.size() > TopHistory::samples_max) history.pop_front();
}

}  // namespace

std::optional<std::int64_t> busy_permille(const protocol::NodeView& node) {
  if (node.node.state != NodeState::up || node.node.config.gpus <= 0) return std::nullopt;
  std::int64_t sum = 0;
  for (const std::int64_t one : node.device_utilization_permille) sum += one;
  return sum / node.node.config.gpus;
}

void TopHistory::add(const protocol::ClusterView& cluster, const protocol::NodeList& nodes) {
  push(allocated_, cluster.gpus > 0 ? std::optional(cluster.gpus_allocated * 1000 / cluster.gpus) : std::nullopt);
  std::int64_t sum = 0, gpus = 0;
  std::set<std::string> seen;
  for (const protocol::NodeView& node : nodes.nodes) {
    const auto busy = busy_permille(node);
    push(nodes_[node.node.config.name], busy);
    seen.insert(node.node.config.name);
    if (busy) sum += *busy * node.node.config.gpus, gpus += node.node.config.gpus;
  }
  push(busy_, gpus > 0 ? std::optional(sum / gpus) : std::nullopt);
  std::erase_if(nodes_, [&](const auto& one) { return seen.count(one.first) == 0; });
}

void TopHistory::add_gap() {
  push(allocated_, std::nullopt);
  push(busy_, std::nullopt);
  for (auto& [node, history] : nodes_) push(history, std::nullopt);
}

const History& TopHistory::busy(const std::string& node) const {
  static const History none;
  const auto found = nodes_.find(node);
  return found == nodes_.end() ? none : found->second;
}

}  // namespace ultramarine::cli
