// See node_upkeep.h.
#include "scheduler/core/node_upkeep.h"

#include <algorithm>

#include "scheduler/core/lifecycle.h"

namespace ultramarine::core {
namespace {

constexpr std::int64_t refusals_max = 3;

}  // namespace

bool any_node_unreachable(const State& state, const Allocation& allocation) {
  return std::any_of(allocation.begin(), allocation.end(), [&](const NodeAllocation& on_node) {
    const auto node = state.nodes.find(on_node.node);
    return node != state.nodes.end() && node->second.state == NodeState::unreachable;
  });
}

bool uses(const Allocation& allocation, const std::string& node) {
  return std::any_of(allocation.begin(), allocation.end(), [&](const NodeAllocation& on_node) { return on_node.node == node; });
}

void enter(Node& node, NodeState to, Time now) {
  if (node.state == to) return;
  node.state = to;
  node.since_ms = now;
}

void settle_node(State& state, const std::string& name) {
  const auto node = state.nodes.find(name);
  if (node == state.nodes.end()) return;
  const auto& configured = state.cluster.nodes;
  const auto config = std::find_if(configured.begin(), configured.end(), [&](const NodeConfig& c) { return c.name == name; });
  if (config != configured.end() && node->second.config == *config) return;

  bool held_by_a_job = false;
  std::int64_t devices_held_up_to = 0;
  for (const auto& [id, job] : state.jobs) {
    const Attempt* open = open_attempt(job);
    if (!open) continue;
    for (const NodeAllocation& on_node : open->allocation) {
      if (on_node.node != name) continue;
      held_by_a_job = true;
      if (!on_node.devices.empty()) devices_held_up_to = std::max(devices_held_up_to, on_node.devices.back() + 1);
    }
  }
  if (config != configured.end()) {
    node->second.config = *config;
    node->second.config.gpus = std::max(config->gpus, devices_held_up_to);
  } else if (!held_by_a_job) {
    state.nodes.erase(node);
  }
}

void settle_drain(State& state, Time now, const std::string& name) {
  const auto found = state.nodes.find(name);
  if (found == state.nodes.end()) return;
  Node& node = found->second;
  if (node.state != NodeState::up && node.state != NodeState::draining && node.state != NodeState::drained) return;
  if (!node.drain) return enter(node, NodeState::up, now);
  const bool is_held = std::any_of(state.jobs.begin(), state.jobs.end(), [&](const auto& entry) {
    const Attempt* open = open_attempt(entry.second);
    return open && uses(open->allocation, name);
  });
  enter(node, is_held ? NodeState::draining : NodeState::drained, now);
}

void note_refusal(State& state, Time now, const Attempt& attempt) {
  if (*attempt.outcome != Outcome::start_failed || !attempt.failure || !attempt.failure->node_at_fault) return;
  const auto found = state.nodes.find(attempt.failure->node);
  if (found == state.nodes.end()) return;
  Node& node = found->second;
  if (++node.refusals < refusals_max || node.drain) return;
  node.drain = Drain{"it refused " + std::to_string(node.refusals) + " launches in a row; the last: " + attempt.failure->detail, by_the_scheduler, now};
  settle_drain(state, now, node.config.name);
}

}  // namespace ultramarine::core
