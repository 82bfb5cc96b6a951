// What `ultra top` has seen so far: how much of the cluster was allocated and how busy its GPUs were, a sample for each
// look. It begins when the program does: the scheduler keeps no such history.
#pragma once

#include <map>
#include <string>

#include "scheduler/cli/top/sparkline.h"
#include "scheduler/protocol/api_messages.h"

namespace ultramarine::cli {

/// Mean over all GPUs of the node, in thousandths; nullopt where nothing is known of it: no GPUs, or it isn't up.
std::optional<std::int64_t> busy_permille(const protocol::NodeView& node);

class TopHistory {
 public:
  static constexpr std::size_t samples_max = 300;

  void add(const protocol::ClusterView& cluster, const protocol::NodeList& nodes);
  /// The scheduler didn't answer for a while.
  void add_gap();
  /// GPUs that are allocated, and how busy those of nodes that are up are, idle ones too.
  const History& allocated() const { return allocated_; }
  const History& busy() const { return busy_; }
  /// As busy_permille; empty of a node that was never seen.
  const History& busy(const std::string& node) const;

 private:
  History allocated_, busy_;
  std::map<std::string, History> nodes_;
};

}  // namespace ultramarine::cli
