#include "scheduler/core/progress_history.h"

#include <gtest/gtest.h>

namespace ultramarine::core {
namespace {

ProgressPoint point_of_step(std::int64_t step) {
  return {.at_ms = Time{step * 1000},
          .attempt = 1,
          .step = step,
          .loss = 1.0 / static_cast<double>(step),
          .tokens_per_s = 5};
}

TEST(ProgressHistory, KeepsEveryPointOfAShortCurve) {
  ProgressHistory history;
  EXPECT_TRUE(history.points().empty());
  for (std::int64_t step = 1; step <= 512; ++step) history.add(point_of_step(step));
  const auto points = history.points();
  ASSERT_EQ(points.size(), ProgressHistory::points_max);
  EXPECT_EQ(history.every(), 1);
  for (std::size_t i = 0; i < points.size(); ++i) EXPECT_EQ(points[i].step, static_cast<std::int64_t>(i) + 1);
}

TEST(ProgressHistory, HalvesItsResolutionAsOftenAsNeededAndKeepsFirstAndNewest) {
  ProgressHistory history;
  std::int64_t every = 1;
  for (std::int64_t step = 1; step <= 1'000'000; ++step) {
    history.add(point_of_step(step));
    EXPECT_GE(history.every(), every);
    every = history.every();
    if (step % 9973 != 0 && step != 1'000'000) continue;
    const auto points = history.points();
    ASSERT_LE(points.size(), ProgressHistory::points_max + 1);
    if (step > 512) {
      ASSERT_GE(points.size(), ProgressHistory::points_max / 2);
    }
    EXPECT_EQ(points.front().step, 1);
    EXPECT_EQ(points.back().step, step);
    for (std::size_t i = 0; i + 1 < points.size() - 1; ++i)
      EXPECT_EQ(points[i + 1].step - points[i].step, every) << "at " << i;
  }
  EXPECT_EQ(every, 2048);
}

}  // namespace
}  // namespace ultramarine::core
