// What entries do to nodes alone: their states, drains, and what stays of a node that left the configuration while jobs hold it. Part of lifecycle,
// which alone calls it.
#pragma once

#include <string>

#include "scheduler/model/state.h"

namespace ultramarine::core {

bool uses(const Allocation& allocation, const std::string& node);
bool any_node_unreachable(const State& state, const Allocation& allocation);

/// Notes since when.
void enter(Node& node, NodeState to, Time now);
/// A node that left the cluster file, or lost devices there, is kept as it was for as long as a job holds what is gone.
void settle_node(State& state, const std::string& name);
/// A node that is to be drained is so as soon as no job holds a device of it.
void settle_drain(State& state, Time now, const std::string& name);
/// A node that refuses one launch after the other takes no more. Of an attempt that has ended.
void note_refusal(State& state, Time now, const Attempt& attempt);

}  // namespace ultramarine::core
