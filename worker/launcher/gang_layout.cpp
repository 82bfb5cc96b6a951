#include "worker/launcher/gang_layout.h"

#include <algorithm>
#include <charconv>

namespace ultramarine::launcher {

GangLayout::GangLayout(const Allocation& allocation) {
  for (const NodeAllocation& part : allocation) {
    const auto node_rank = static_cast<std::int64_t>(nodes_.size());
    nodes_.push_back(part.node);
    std::int64_t local_rank = 0;
    for (const std::int64_t device : part.devices) {
      ranks_.push_back({.rank = world_size(), .local_rank = local_rank++, .node_rank = node_rank, .node = part.node, .device = device});
    }
  }
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

}  // namespace ultramarine::launcher
