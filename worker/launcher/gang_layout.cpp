#include "worker/launcher/gang_layout.h"

#include <algorithm>
#include <charconv>

#include "scheduler/model/gang_shape.h"

namespace ultramarine::launcher {

GangLayout::GangLayout(const Allocation& allocation, std::int64_t ranks, std::int64_t ranks_per_node) : allocation_(allocation) {
  const std::vector<std::int64_t> counts = ranks_on_nodes(allocation, ranks, ranks_per_node);
  for (std::size_t i = 0; i < allocation.size(); ++i) {
    if (counts[i] == 0) continue;
    const NodeAllocation& part = allocation[i];
    const auto node_rank = static_cast<std::int64_t>(nodes_.size());
    const bool one_each = counts[i] == static_cast<std::int64_t>(part.devices.size());
    nodes_.push_back(part.node);
    for (std::int64_t local_rank = 0; local_rank < counts[i]; ++local_rank) {
      ranks_.push_back({.rank = world_size(),
                        .local_rank = local_rank,
                        .node_rank = node_rank,
                        .node = part.node,
                        .devices = one_each ? std::vector{part.devices[static_cast<std::size_t>(local_rank)]} : part.devices});
    }
  }
}

std::vector<std::int64_t> GangLayout::ranks_per_node() const {
  std::vector<std::int64_t> counts(nodes_.size(), 0);
  for (const RankPlace& place : ranks_) ++counts[static_cast<std::size_t>(place.node_rank)];
  return counts;
}

std::vector<std::int64_t> GangLayout::devices_on(const std::string& node) const {
  for (const NodeAllocation& part : allocation_) {
    if (part.node == node) return part.devices;
  }
  return {};
}

std::vector<RankPlace> GangLayout::on_node(const std::string& node) const {
  std::vector<RankPlace> places;
  std::copy_if(ranks_.begin(), ranks_.end(), std::back_inserter(places), [&](const RankPlace& place) { return place.node == node; });
  return places;
}

std::string GangLayout::node_of(std::int64_t rank) const {
  return rank >= 0 && rank < world_size() ? ranks_[static_cast<std::size_t>(rank)].node : "";
}

std::string GangLayout::text_of(std::vector<std::int64_t> ranks) const {
  std::sort(ranks.begin(), ranks.end());
  ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
  if (static_cast<std::int64_t>(ranks.size()) == world_size()) return "*";
  std::string text;
  for (const std::int64_t rank : ranks) text += (text.empty() ? "" : ",") + std::to_string(rank);
  return text;
}

std::vector<std::string> GangLayout::nodes_of(const std::string& ranks) const {
  if (ranks == "*") return nodes_;
  std::vector<bool> holds(nodes_.size(), false);
  const char* at = ranks.data();
  const char* const end = at + ranks.size();
  while (at < end) {
    std::int64_t rank = -1;
    const auto [stop, error] = std::from_chars(at, end, rank);
    if (error != std::errc() || rank < 0 || rank >= world_size()) return {};
    holds[static_cast<std::size_t>(ranks_[static_cast<std::size_t>(rank)].node_rank)] = true;
    at = stop == end ? end : stop + 1;
  }
  std::vector<std::string> nodes;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (holds[i]) nodes.push_back(nodes_[i]);
  }
  return nodes;
}

GangLayout layout_of(const protocol::LaunchSpec& launch) {
  if (launch.kind != protocol::LaunchKind::script) return GangLayout(launch.allocation, launch.spec.ranks, launch.spec.ranks_per_node);
  return GangLayout(launch.allocation.empty() ? Allocation{} : Allocation{launch.allocation.front()}, 1, 0);
}

bool wants_pmix(const protocol::LaunchSpec& launch) {
  if (launch.kind == protocol::LaunchKind::script) return false;
  return launch.spec.mpi == MpiMode::pmix || (launch.spec.mpi == MpiMode::automatic && layout_of(launch).world_size() > 1);
}

bool divides_cores(const protocol::LaunchSpec& launch) {
  if (launch.kind == protocol::LaunchKind::script || launch.spec.bind == BindMode::none) return false;
  return !launch.virtual_devices || layout_of(launch).on_node(launch.node).size() > 1;
}

}  // namespace ultramarine::launcher
