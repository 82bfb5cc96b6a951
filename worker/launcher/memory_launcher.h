// The launcher's in-memory twin, for tests of the agent: shims are values that outlive the launcher as real ones outlive the agent.
// It writes down every call and lets the test say what the shims report. Like the real one it speaks through the loop, never from
// inside a call.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "worker/launcher/launcher.h"

namespace ultramarine::launcher {

/// A node's shims. Keep it in the test and hand it to one launcher after another: that is an agent's restart.
class MemoryShims {
 public:
  struct Sent {
    GangKey key;
    protocol::ToShim message;
  };
  // What was called, in order.
  std::vector<protocol::LaunchSpec> prepared;
  std::vector<Sent> sent;
  std::vector<GangKey> forgotten;
  int adoptions = 0;

  /// A shim says this. A GangReport is remembered: it is said again at adopt(), at a repeated prepare() and for commands to a finished
  /// gang. Without a launcher (the agent is down) it is only remembered, and so are CheckpointReports.
  void say(const protocol::FromShim& message);

 private:
  friend class MemoryLauncher;
  std::map<GangKey, GangReport> reports_;
  std::vector<protocol::CheckpointReport> unheard_checkpoints_;
  std::function<void(const protocol::FromShim&)> listener_;
};

std::unique_ptr<Launcher> make_memory_launcher(net::Loop& loop, std::shared_ptr<MemoryShims> shims, OnShimMessage on_message);

}  // namespace ultramarine::launcher
