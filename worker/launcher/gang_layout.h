// Which rank runs where. Ranks are numbered along the allocation, node by node (scheduler/model/gang_shape.h says how many are on each).
// Pure arithmetic on values; knows no process, no socket and no clock.
#pragma once

#include <string>
#include <vector>

#include "scheduler/model/job.h"
#include "scheduler/protocol/agent_messages.h"

namespace ultramarine::launcher {

struct RankPlace {
  std::int64_t rank = 0;
  std::int64_t local_rank = 0;        // index on its node
  std::int64_t node_rank = 0;         // index of its node in the gang
  std::string node;
  std::vector<std::int64_t> devices;  // indices on its node: its own one where there are as many ranks as devices, else all of the gang's there
  bool operator==(const RankPlace&) const = default;
};

class GangLayout {
 public:
  /// `ranks`, `ranks_per_node`: as in JobSpec; both 0 = one rank per device.
  explicit GangLayout(const Allocation& allocation, std::int64_t ranks = 0, std::int64_t ranks_per_node = 0);

  const std::vector<std::string>& nodes() const { return nodes_; }      // that have a rank, in allocation order
  const std::vector<RankPlace>& ranks() const { return ranks_; }        // by rank
  std::int64_t world_size() const { return static_cast<std::int64_t>(ranks_.size()); }
  std::vector<RankPlace> on_node(const std::string& node) const;        // by local rank
  std::vector<std::int64_t> ranks_per_node() const;                     // how many, by node
  /// All devices of the gang on this node.
  std::vector<std::int64_t> devices_on(const std::string& node) const;
  /// "" for a rank that doesn't exist.
  std::string node_of(std::int64_t rank) const;
  /// The first node of the allocation: rank 0 runs there, and its shim is the middle of the gang's star.
  std::string first_node() const { return nodes_.empty() ? "" : nodes_.front(); }

  /// A set of ranks as text: "*" for the whole gang, else ascending numbers "0,2,5".
  std::string text_of(std::vector<std::int64_t> ranks) const;
  /// The nodes that hold at least one rank of such a set, in allocation order. Empty when the text names no rank of this gang.
  std::vector<std::string> nodes_of(const std::string& ranks) const;

 private:
  Allocation allocation_;
  std::vector<std::string> nodes_;
  std::vector<RankPlace> ranks_;
};

/// The gang of a launch. A script is one rank, which sees all devices of its node.
GangLayout layout_of(const protocol::LaunchSpec& launch);
/// Its ranks speak PMIx with their supervisor. Scripts start no MPI of ours: their mpirun does.
bool wants_pmix(const protocol::LaunchSpec& launch);
/// Its ranks stay on cores of their own. A script's processes are for its mpirun to place, and one rank beside virtual devices has all cores.
bool divides_cores(const protocol::LaunchSpec& launch);
/// For the supervisor with all libraries; others start faster without (ShimParts).
inline bool needs_full_shim(const protocol::LaunchSpec& launch) { return wants_pmix(launch) || divides_cores(launch); }

}  // namespace ultramarine::launcher
