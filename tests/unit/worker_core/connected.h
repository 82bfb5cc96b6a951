// An agent's machine with a scheduler, and short names for what both say.
#pragma once

#include <gtest/gtest.h>

#include "builders.h"
#include "worker/core/agent_machine.h"

namespace ultramarine::worker_core {

const Time t0{1'000'000};

/// An agent whose scheduler has welcomed it.
struct Connected : testing::Test {
  AgentMachine machine{node01(), AgentMemory{}};
  Connected() {
    machine.on_connected();
    machine.on_scheduler(t0, welcome());
  }
  Actions command(const protocol::ToAgent& message, Time now = t0) { return machine.on_scheduler(now, message); }
  Actions shim(const protocol::FromShim& message, Time now = t0) { return machine.on_shim(now, message); }
  void run(GangKey key, std::vector<std::int64_t> devices = {0, 1}) {
    command(prepare(key, std::move(devices)));
    shim(report(key, GangPhase::prepared));
    command(protocol::Start{key, {}});
    shim(report(key, GangPhase::running));
  }
  Actions reconnect() {
    machine.on_disconnected();
    Actions all = machine.on_connected();
    for (const Action& action : machine.on_scheduler(t0, welcome())) all.push_back(action);
    return all;
  }
};

}  // namespace ultramarine::worker_core
