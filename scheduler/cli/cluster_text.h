// Changes to a cluster file that keep everything else in it as people wrote it, comments too. Text in, text out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace ultramarine::cli {

struct ClusterChanges {
  std::optional<std::int64_t> nodes, gpus_per_node;
  std::optional<std::string> http, agents, policy;
  bool any() const { return nodes || gpus_per_node || http || agents || policy; }
};

/// The changed text, proven by parsing it again. `file_name` is for messages. Throws CommandError when the text is
/// malformed, or laid out so that only a person can change it.
std::string changed_cluster_text(const std::string& text, const ClusterChanges& changes, const std::string& file_name);

/// "node01", "node[01-08]", "node[001-100]".
std::string node_hostlist(std::int64_t count);

}  // namespace ultramarine::cli
