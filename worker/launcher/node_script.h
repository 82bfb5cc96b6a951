// Runs a program of the site on this node (prolog, epilog, health check): as the agent's own user, with a fixed environment, /dev/null as input, and
// a deadline after which it and all that it started in its process group are killed. Not for anything that users choose.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "scheduler/net/loop.h"

namespace ultramarine::launcher {

class NodeScript {
 public:
  /// `problem`: "" when it exited with 0, else one phrase that ends with the last line of its output: "exited with code 3: no space left".
  using OnEnd = std::function<void(const std::string& problem)>;

  /// Starts it; `on_end` comes later, on the loop's thread, unless this object is destroyed first, which kills the program. `variables`: beside
  /// PATH and LANG, the only ones.
  NodeScript(net::Loop& loop, std::string program, std::map<std::string, std::string> variables, std::chrono::milliseconds deadline, OnEnd on_end);
  NodeScript(const NodeScript&) = delete;
  NodeScript& operator=(const NodeScript&) = delete;
  ~NodeScript();

 private:
  void read_output();
  void ended();
  void end_with(std::string problem);
  std::string last_line() const;

  net::Loop& loop_;
  const std::string program_;
  const std::chrono::milliseconds deadline_;
  OnEnd on_end_;
  std::int64_t pid_ = -1;
  int process_ = -1, output_ = -1;
  bool too_late_ = false;
  std::string tail_;  // the end of its output
  std::unique_ptr<net::Loop::Watch> process_watch_, output_watch_;
  std::unique_ptr<net::Loop::Timer> timer_;
};

}  // namespace ultramarine::launcher
