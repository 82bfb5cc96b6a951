// The site's prolog and epilog around each attempt on this node: the first gang of an attempt waits for its prolog, and nothing starts here while
// an epilog runs. What they say decides for the launches that wait; everything else is the launcher's.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/net/loop.h"
#include "scheduler/protocol/agent_messages.h"
#include "worker/launcher/node_script.h"

namespace ultramarine::launcher {

class AttemptScripts {
 public:
  using Attempt = std::pair<JobId, std::int64_t>;
  struct World {
    std::string prolog, epilog;  // "" = none
    std::chrono::milliseconds deadline{50'000};
    std::string notes_folder;    // where it is noted which attempts have begun here, for the next agent; ours alone
    std::function<void(const protocol::LaunchSpec&)> launch;
    /// The node is at fault: `waiting` didn't start because of it.
    std::function<void(const std::string& reason, const std::vector<protocol::LaunchSpec>& waiting)> failed;
  };

  AttemptScripts(net::Loop& loop, World world) : loop_(loop), world_(std::move(world)) {}

  /// Launches now, or once the scripts let it.
  void launch(const protocol::LaunchSpec& launch);
  /// True when this gang was still waiting: it never starts then.
  bool forget(const GangKey& key);
  bool is_waiting(const GangKey& key) const;
  /// No gang of it is here any more, and none will come.
  void over(const Attempt& attempt);

 private:
  bool has_none() const { return world_.prolog.empty() && world_.epilog.empty(); }
  std::string note_of(const Attempt& attempt) const;
  bool has_begun(const Attempt& attempt) const;
  void note_begun(const Attempt& attempt);
  void go_on();
  void prolog_ended(const Attempt& attempt, const std::string& problem);
  void end(const Attempt& attempt);
  void epilog_ended(const Attempt& attempt, const std::string& problem);

  net::Loop& loop_;
  const World world_;
  std::vector<protocol::LaunchSpec> waiting_;
  std::set<Attempt> begun_;
  std::set<Attempt> over_;  // whose prologs are being stopped
  std::map<Attempt, std::unique_ptr<NodeScript>> prologs_, epilogs_;
};

}  // namespace ultramarine::launcher
