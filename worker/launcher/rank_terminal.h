// The pseudo-terminal of a rank that people talk to: what its processes print goes into the rank's output like any other, what somebody types
// comes in pieces. Line editing, Ctrl-C, job control and the window's size are the kernel's.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "scheduler/model/job.h"
#include "scheduler/net/loop.h"

namespace ultramarine::launcher {

class RankTerminal {
 public:
  /// `output`: open for appending, outlives this. Throws FolderError when there is no terminal to be had.
  RankTerminal(net::Loop& loop, const TerminalSize& size, int output);
  ~RankTerminal();
  RankTerminal(const RankTerminal&) = delete;
  RankTerminal& operator=(const RankTerminal&) = delete;

  /// For the rank's start.
  int descriptor() const { return inside_; }
  /// The rank has it now: from here on the end of all its processes is the end of the terminal.
  void started();
  void resize(const TerminalSize& size);
  /// What is typed faster than the rank reads it waits; what comes when 1 MiB waits is lost, and a line in the output
  /// says so.
  void type(std::string_view bytes);
  /// All that was printed up to now is in the output.
  void drain();

 private:
  void close_inside();
  void write_waiting();
  void say_refused();

  net::Loop& loop_;
  const int output_;
  int outside_ = -1, inside_ = -1;
  std::string waiting_;
  bool said_refused_ = false;
  std::unique_ptr<net::Loop::Watch> watch_;
  std::unique_ptr<net::Loop::Timer> retry_;
};

}  // namespace ultramarine::launcher
