#include "scheduler/core/progress_history.h"

namespace ultramarine::core {

void ProgressHistory::add(const ProgressPoint& point) {
  const bool is_kept = added_++ % every_ == 0;
  newest_ = point;
  if (!is_kept) return;
  newest_.reset();
  kept_.push_back(point);
  if (kept_.size() <= points_max) return;
  std::size_t count = 0;
  for (std::size_t i = 0; i < kept_.size(); i += 2) kept_[count++] = kept_[i];
  kept_.resize(count);
  every_ *= 2;
}

std::vector<ProgressPoint> ProgressHistory::points() const {
  std::vector<ProgressPoint> all = kept_;
  if (newest_) all.push_back(*newest_);
  return all;
}

}  // namespace ultramarine::core
