#include "worker/core/launch_check.h"

#include <algorithm>
#include <set>

#include "scheduler/model/gang_shape.h"

namespace ultramarine::worker_core {
namespace {

const NodeAllocation* share_of(const std::string& node, const Allocation& allocation) {
  const auto found = std::find_if(allocation.begin(), allocation.end(), [&](const auto& share) { return share.node == node; });
  return found == allocation.end() ? nullptr : &*found;
}

}  // namespace

std::optional<std::string> refusal(const AgentIdentity& identity, const protocol::LaunchSpec& launch) {
  const std::string job = "job " + std::to_string(launch.key.job.value);
  if (launch.node != identity.node)
    return "a launch for node " + launch.node + " reached node " + identity.node + ": check [[node]] names and the --node of each agent";
  const NodeAllocation* share = share_of(identity.node, launch.allocation);
  if (!share || share->devices.empty()) return "the allocation of " + job + " has no device of node " + identity.node;
  std::set<std::int64_t> devices;
  for (const std::int64_t device : share->devices) {
    if (device < 0 || device >= identity.devices)
      return job + " asks for device " + std::to_string(device) + " of node " + identity.node + ", which has " +
             std::to_string(identity.devices) + ": scheduler and agent must read the same cluster file";
    if (!devices.insert(device).second) return job + " asks twice for device " + std::to_string(device) + " of node " + identity.node;
  }
  if (identity.uid == 0) {
    const std::string owner = job + " belongs to " + (launch.owner.uid == 0 ? "root" : "uid " + std::to_string(launch.owner.uid));
    if (launch.owner.uid == 0 && !identity.root_jobs)
      return owner + ", and node " + identity.node + " runs no jobs of root: submit it as another user (root_jobs = true in [agent] allows it on a machine " +
             "of one's own)";
    if (launch.owner.uid != 0 && launch.owner.uid < identity.minimum_uid)
      return owner + ", and node " + identity.node + " runs no jobs of users below uid " + std::to_string(identity.minimum_uid) +
             " ([agent] minimum_uid): submit it as another user";
    return std::nullopt;
  }
  if (launch.owner.uid != identity.uid)
    return job + " belongs to uid " + std::to_string(launch.owner.uid) + " (" + launch.owner.name + ") but the agent of node " +
           identity.node + " runs as uid " + std::to_string(identity.uid) + " (" + identity.user + "): run the cluster as " +
           (launch.owner.name.empty() ? "that user" : launch.owner.name);
  return std::nullopt;
}

GangRecord record_of(const AgentIdentity& identity, const protocol::LaunchSpec& launch) {
  GangRecord record{.key = launch.key, .account = launch.spec.account, .stop_grace_ms = launch.spec.stop_grace_ms};
  const bool is_script = launch.kind == protocol::LaunchKind::script;
  const std::vector<std::int64_t> counts = ranks_on_nodes(launch.allocation, is_script ? 1 : launch.spec.ranks, launch.spec.ranks_per_node);
  for (std::size_t i = 0; i < launch.allocation.size(); ++i) {
    if (launch.allocation[i].node == identity.node) {
      record.devices = launch.allocation[i].devices;
      record.ranks = counts[i];
      break;
    }
    record.first_rank += counts[i];
  }
  return record;
}

}  // namespace ultramarine::worker_core
