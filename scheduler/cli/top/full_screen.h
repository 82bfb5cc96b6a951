// The terminal taken over by ncurses, and given back whatever happens: at the end, by a signal, while the program is
// stopped, and when it crashes. Signals become something to wait for, beside keys. Knows nothing of what is drawn.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "scheduler/cli/top/top_model.h"

namespace ultramarine::cli {

/// At most one at a time in a process.
class FullScreen {
 public:
  /// Throws CommandError when the terminal is none, or of a kind that this system doesn't know.
  explicit FullScreen(bool colour);
  ~FullScreen();
  FullScreen(const FullScreen&) = delete;
  FullScreen& operator=(const FullScreen&) = delete;

  /// Returns when a key was pressed, `fd` can be read, the window changed, the program goes on after a stop, a signal
  /// ended it, or the time is over.
  void wait(int fd, int milliseconds);
  /// The next key that was pressed, if any.
  std::optional<Key> key();
  /// The signal that asks the program to end, or 0.
  int ended_by() const { return ended_by_; }
  bool has_colour() const { return colour_; }
  std::size_t rows() const;
  std::size_t columns() const;

 private:
  void take_signals();
  void stop_until_continued();

  bool colour_ = false;
  int ended_by_ = 0;
};

}  // namespace ultramarine::cli
