// How `ultra top` looks: the wall of GPUs, the queue below it, a page over both. Draws a TopModel with ncurses; changes
// nothing.
#pragma once

#include "scheduler/cli/top/full_screen.h"
#include "scheduler/cli/top/top_model.h"
#include "scheduler/model/time.h"

namespace ultramarine::cli {

class TopScreen {
 public:
  /// `utf8`: else what is drawn of heights is ASCII.
  TopScreen(const FullScreen& screen, bool utf8) : screen_(screen), utf8_(utf8) {}
  void draw(TopModel& model, Time now);
  /// Lines of a page, or jobs of the list, that there is room for (as drawn last).
  std::size_t room() const { return room_; }

 private:
  // Each returns the row after it.
  std::size_t draw_head(const TopModel& model, Time now);
  std::size_t draw_history(const TopModel& model, std::size_t row);
  std::size_t draw_wall(const TopModel& model, std::size_t row);
  void draw_list(TopModel& model, std::size_t row);
  void draw_page(const TopModel& model);
  void draw_foot(const TopModel& model);

  const FullScreen& screen_;
  const bool utf8_;
  std::size_t room_ = 1;
};

}  // namespace ultramarine::cli
