// How a job's training went, in few points: what its ranks said of their steps, thinned out as it grows, so that a
// curve of hours costs as little as one of minutes. Ephemeral like the liveness: not journaled, and no choice reads it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "scheduler/model/progress.h"

namespace ultramarine::core {

class ProgressHistory {
 public:
  static constexpr std::size_t points_max = 512;

  /// Of a step that is newer than the last one of this attempt, or of a newer attempt. O(1) on average.
  void add(const ProgressPoint& point);
  /// In the order of time, at most `points_max` and the newest: of all that were added the first and every `every()`th.
  std::vector<ProgressPoint> points() const;
  /// 1, 2, 4 ...: doubles when there would be too many.
  std::int64_t every() const { return every_; }

 private:
  std::vector<ProgressPoint> kept_;
  std::optional<ProgressPoint> newest_;  // where it isn't among those kept
  std::int64_t added_ = 0, every_ = 1;
};

}  // namespace ultramarine::core
