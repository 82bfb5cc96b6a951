// Which rank runs where. Ranks are numbered along the allocation: node by node, device by device. Pure arithmetic on values;
// knows no process, no socket and no clock.
#pragma once

#include <string>
#include <vector>

#include "scheduler/model/job.h"

namespace ultramarine::launcher {

struct RankPlace {
  std::int64_t rank = 0;
  std::int64_t local_rank = 0;  // index on its node
  std::int64_t node_rank = 0;   // index of its node in the allocation
  std::string node;
  std::int64_t device = 0;      // index on its node
  bool operator==(const RankPlace&) const = default;
};

class GangLayout {
 public:
  explicit GangLayout(const Allocation& allocation);

  const std::vector<std::string>& nodes() const { return nodes_; }      // in allocation order
  const std::vector<RankPlace>& ranks() const { return ranks_; }        // by rank
  std::int64_t world_size() const { return static_cast<std::int64_t>(ranks_.size()); }
  std::vector<RankPlace> on_node(const std::string& node) const;        // by local rank
  /// "" for a rank that doesn't exist.
  std::string node_of(std::int64_t rank) const;
  /// The first node of the allocation: rank 0 runs there, and its shim is the middle of the gang's star.
  std::string first_node() const { return nodes_.empty() ? "" : nodes_.front(); }

  /// A set of ranks as text: "*" for the whole gang, else ascending numbers "0,2,5".
  std::string text_of(std::vector<std::int64_t> ranks) const;
  /// The nodes that hold at least one rank of such a set, in allocation order. Empty when the text names no rank of this gang.
  std::vector<std::string> nodes_of(const std::string& ranks) const;

 private:
  std::vector<std::string> nodes_;
  std::vector<RankPlace> ranks_;
};

}  // namespace ultramarine::launcher
