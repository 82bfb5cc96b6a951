// The site's prolog and epilog around each attempt on this node: the first gang of an attempt waits for its prolog, and
// what is asked for while an epilog runs waits for that one. What they say decides for the launches that wait;
// everything else is the launcher's.
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
#include "worker/launcher/begun_note.h"
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

  /// Reads what an earlier agent has noted.
  AttemptScripts(net::Loop& loop, World world);

  /// Launches now, or once the scripts let it.
  void launch(const protocol::LaunchSpec& launch);
  /// True when this gang was still waiting: it never starts then.
  bool forget(const GangKey& key);
  bool is_waiting(const GangKey& key) const;
  /// No gang of it is here any more, and none will come: what has begun is ended, by the epilog if there is one.
  void over(const Attempt& attempt);
  /// `over` follows once its last gang here is gone; what is asked for from now on waits for its epilog, too.
  void over_soon(const Attempt& attempt);
  /// All that have begun and not ended.
  std::vector<protocol::AttemptKey> begun() const;

 private:
  struct Waiting {
    protocol::LaunchSpec launch;
    std::set<Attempt> before;  // whose ends it waits for
  };

  bool has_none() const { return world_.prolog.empty() && world_.epilog.empty(); }
  std::string note_of(const Attempt& attempt) const;
  void read_notes();
  void note(const Attempt& attempt, BegunNote begun);
  bool is_ready(const Attempt& attempt) const;
  std::set<Attempt> ending() const;
  void go_on();
  void start_prolog(const protocol::LaunchSpec& launch);
  void prolog_ended(const Attempt& attempt, const std::string& problem);
  void end(const Attempt& attempt);
  void epilog_ended(const Attempt& attempt, const std::string& problem);
  std::vector<protocol::LaunchSpec> take_waiting(const std::function<bool(const protocol::LaunchSpec&)>& which);

  net::Loop& loop_;
  const World world_;
  std::vector<Waiting> waiting_;
  std::map<Attempt, BegunNote> begun_;
  std::set<Attempt> over_soon_;
  std::set<Attempt> over_;  // whose prologs are being stopped
  std::map<Attempt, std::unique_ptr<NodeScript>> prologs_, epilogs_;
};

}  // namespace ultramarine::launcher
