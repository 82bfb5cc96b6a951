// Runs a program of the site on this node (prolog, epilog, health check): as the agent's own user, with a fixed
// environment, /dev/null as input, and a deadline after which it and all that it started in its process group are
// killed. What hangs in the kernel and doesn't die of that (a tool of the driver, a dead file server) holds nobody up:
// it is named, left behind, and reaped whenever it ends. Not for anything that users choose.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "scheduler/net/loop.h"
#include "worker/launcher/process_tree.h"

namespace ultramarine::launcher {

class NodeScript {
 public:
  /// `problem`: "" when it exited with 0, else one phrase that ends with the last line of its output: "exited with code
  /// 3: no space left". It comes at the latest `kill_patience` after the deadline, also when something of it still
  /// lives.
  using OnEnd = std::function<void(const std::string& problem)>;
  /// What was killed and lives on for so long can't be killed.
  static constexpr std::chrono::milliseconds kill_patience{1000};

  /// Starts it; `on_end` comes later, on the loop's thread, unless this object is destroyed first, which kills the
  /// program and doesn't wait for it. `variables`: beside PATH and LANG, the only ones.
  NodeScript(net::Loop& loop, std::string program, std::map<std::string, std::string> variables, std::chrono::milliseconds deadline, OnEnd on_end);
  NodeScript(const NodeScript&) = delete;
  NodeScript& operator=(const NodeScript&) = delete;
  ~NodeScript();

  /// Nobody wants its result any more: kills it. `on_end` comes as ever, with "" unless something of it can't be
  /// killed.
  void stop();
  /// Its processes that were killed and live on.
  std::vector<ProcessIdentity> survivors() const;

 private:
  void watch();
  void look_soon();
  void look();
  void look_after_the_kill();
  void reap();
  void read_output();
  void kill_all();
  std::string problem_of_its_own() const;
  void end_with(const std::string& problem);
  std::string last_line() const;

  net::Loop& loop_;
  const std::string program_;
  const std::chrono::milliseconds deadline_;
  OnEnd on_end_;
  std::int64_t pid_ = -1;  // until it is reaped
  int status_ = 0;         // then
  int process_ = -1, output_ = -1;
  bool too_late_ = false, is_stopped_ = false;
  std::vector<ProcessIdentity> killed_;  // its process group when it was killed
  std::chrono::steady_clock::time_point given_up_at_;
  std::string tail_;  // the end of its output
  std::unique_ptr<net::Loop::Watch> process_watch_, output_watch_;
  std::unique_ptr<net::Loop::Timer> deadline_timer_, look_timer_;
};

}  // namespace ultramarine::launcher
