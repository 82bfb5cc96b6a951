// What each agent must be told now. Derived from state and liveness by core's `launch_step`, so that a restarted scheduler says exactly
// what is needed again; remembers what it has said in which session, so that it says it once. Sends nothing itself.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "scheduler/core/liveness.h"
#include "scheduler/protocol/agent_messages.h"

namespace ultramarine::server {

struct Command {
  std::string node;
  protocol::ToAgent message;
};

/// 128 bits in hex that all shims of a gang share. Derived, not stored: a scheduler that restarts in mid-launch says the same.
std::string gang_secret(const std::string& cluster_secret, const GangKey& key);

/// What ranks need for the fabric: [fabric].environment, NCCL's and Open MPI's names for its interfaces.
std::map<std::string, std::string> fabric_environment(const FabricConfig& fabric);

class Dispatch {
 public:
  /// The kept environment of a job (gang 1) or of a gang.
  using Environment = std::function<std::map<std::string, std::string>(JobId, std::int64_t gang)>;
  Dispatch(std::string cluster_secret, Environment environment);

  /// Commands to send now to the nodes in `sessions` (node -> number of its session); `active` are the jobs that hold devices. Notes in `liveness` when a gang was first asked, and
  /// drops gangs that have ended. A node that is away when an attempt ends is not told later: it clears up by its own clock.
  std::vector<Command> due(const State& state, const std::set<JobId>& active, core::Liveness& liveness,
                           const std::map<std::string, std::int64_t>& sessions, Time now);

 private:
  struct Said {
    std::int64_t session = 0;
    core::LaunchStep step = core::LaunchStep::nothing;
    std::int64_t session_of_time = 0;
    Duration time;  // that its ranks may run
  };
  void add_forgotten(const State& state, core::Liveness& liveness, const std::map<std::string, std::int64_t>& sessions,
                     std::vector<Command>& commands);
  void add_over(const State& state, const std::map<std::string, std::int64_t>& sessions, std::vector<Command>& commands);
  void add_due(const State& state, core::Liveness& liveness, const std::map<std::string, std::int64_t>& sessions, Time now, const GangKey& key,
               const Allocation& allocation, std::vector<Command>& commands);
  /// Says how long the ranks may run where that has changed since the launch, or may not have been heard.
  void add_time(const Job& job, const GangKey& key, const std::string& node, std::int64_t session, bool is_launched, std::vector<Command>& commands);
  protocol::LaunchSpec launch_spec(const State& state, const Job& job, const GangKey& key, const std::string& node) const;
  std::optional<protocol::ToAgent> command(const State& state, const core::Liveness& liveness, const Job& job, const GangKey& key,
                                           const std::string& node, core::LaunchStep step) const;

  std::string cluster_secret_;
  Environment environment_;
  std::map<std::pair<GangKey, std::string>, Said> said_;
  std::map<std::pair<JobId, std::int64_t>, std::vector<std::string>> open_attempts_;  // (job, attempt) -> its nodes, as of the last call
};

}  // namespace ultramarine::server
