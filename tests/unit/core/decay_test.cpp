// How the past fades, beside floating point; and the arithmetic that can't run over.
#include "scheduler/core/decay.h"

#include <gtest/gtest.h>

#include <cmath>

#include "scheduler/core/wide.h"
#include "tests/unit/core/builders.h"

namespace ultramarine::core {
namespace {

constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();
constexpr Duration week = hours(7 * 24);

TEST(Decay, WholeHalfLivesAreExact) {
  for (const Duration half_life : {Duration{1}, Duration{3}, minutes(10), week}) {
    EXPECT_EQ(faded(1'000'000, {0}, half_life), 1'000'000);
    EXPECT_EQ(faded(1'000'000, half_life, half_life), 500'000);
    EXPECT_EQ(faded(1'000'001, half_life, half_life), 500'000);
    EXPECT_EQ(faded(1'000'000, {half_life.ms * 3}, half_life), 125'000);
    EXPECT_EQ(faded(largest, half_life, half_life), largest / 2);
    EXPECT_EQ(faded(largest, {half_life.ms * 62}, half_life), 0);
    EXPECT_EQ(faded(largest, {largest}, half_life), 0);
  }
}

TEST(Decay, IsThePowerOfTwo) {
  Random random(1);
  for (int i = 0; i < 2000; ++i) {
    const std::int64_t amount = random.between(0, 1'000'000'000'000);
    const Duration half_life{random.between(1, 5 * week.ms)}, elapsed{random.between(0, 8 * half_life.ms)};
    const long double part = std::exp2(-static_cast<long double>(elapsed.ms) / static_cast<long double>(half_life.ms));
    EXPECT_NEAR(static_cast<double>(faded(amount, elapsed, half_life)), static_cast<double>(static_cast<long double>(amount) * part), 1.01);
    const long double length = (1 - part) * static_cast<long double>(half_life.ms) / std::log(2.0L);
    EXPECT_NEAR(static_cast<double>(faded_length_ms(elapsed, half_life)), static_cast<double>(length), 0.51);
  }
}

TEST(Decay, OnlyEverTakesAway) {
  // Later is never more, and a longer stay never counts less; nothing counts more than it was.
  Random random(2);
  for (int i = 0; i < 500; ++i) {
    const Duration half_life{random.chance(100) ? largest - random.between(0, 5) : random.between(1, week.ms)};
    const std::int64_t amount = random.chance(100) ? largest : random.between(1, 1'000'000'000);
    Duration elapsed{random.between(0, 3 * week.ms)};
    std::int64_t before = faded(amount, elapsed, half_life), length_before = faded_length_ms(elapsed, half_life);
    EXPECT_LE(before, amount);
    EXPECT_LE(length_before, elapsed.ms);
    for (int step = 0; step < 20; ++step) {
      elapsed = elapsed + Duration{random.between(1, 3)};
      const std::int64_t after = faded(amount, elapsed, half_life), length_after = faded_length_ms(elapsed, half_life);
      EXPECT_LE(after, before);
      EXPECT_GE(length_after, length_before);
      before = after, length_before = length_after;
    }
  }
}

TEST(Decay, APartAndTheRestAreTheWhole) {
  // A stay that is charged in two parts, the first of them faded meanwhile, counts as one.
  Random random(3);
  for (int i = 0; i < 1000; ++i) {
    const Duration half_life{random.between(1000, week.ms)}, first{random.between(0, week.ms)}, second{random.between(0, week.ms)};
    const std::int64_t parts = faded(faded_length_ms(first, half_life), second, half_life) + faded_length_ms(second, half_life);
    EXPECT_NEAR(static_cast<double>(parts), static_cast<double>(faded_length_ms(first + second, half_life)), 2.0);
  }
}

TEST(Decay, NoHalfLifeMeansNothingFades) {
  EXPECT_EQ(faded(77, week, {0}), 77);
  EXPECT_EQ(faded_length_ms(week, {0}), week.ms);
  EXPECT_EQ(faded_length_ms({-5}, week), 0);
  EXPECT_EQ(faded(77, {-5}, week), 77);
  EXPECT_EQ(faded(-77, week, week), 0);
}

TEST(Wide, FractionsCompareExactly) {
  const auto huge = [](std::int64_t value) { return UnsignedWide{static_cast<std::uint64_t>(value)} * static_cast<std::uint64_t>(largest); };
  EXPECT_TRUE(compare({1, 3}, {2, 6}) == 0);
  EXPECT_TRUE(compare({1, 3}, {1, 2}) < 0);
  EXPECT_TRUE(compare({7, 0}, {0, 0}) == 0);  // both infinite
  EXPECT_TRUE(compare({7, 0}, {huge(largest), 1}) > 0);
  EXPECT_TRUE(compare({0, 5}, {0, 9}) == 0);
  EXPECT_TRUE(compare({huge(largest), huge(largest - 1)}, {huge(largest - 1), huge(largest - 2)}) < 0);  // 1 + 1/(n-1) < 1 + 1/(n-2)
  Random random(4);
  for (int i = 0; i < 5000; ++i) {
    const std::int64_t a = random.between(0, 9), b = random.between(1, 9), c = random.between(0, 9), d = random.between(1, 9);
    EXPECT_TRUE(compare({huge(a), huge(b)}, {huge(c), huge(d)}) == (a * d <=> c * b)) << a << "/" << b << " and " << c << "/" << d;
  }
}

TEST(Wide, StopsAtTheLargest) {
  EXPECT_EQ(saturating_sum(largest, largest), largest);
  EXPECT_EQ(scaled(largest, largest, 1), largest);
  EXPECT_EQ(scaled(largest, 3, 4), largest / 4 * 3 + 2);
  EXPECT_EQ(scaled(7, 1, 0), 0);
  EXPECT_EQ(in_parts({5, 2}, 1000), 2500);
  EXPECT_EQ(in_parts({5, 0}, 1000), std::nullopt);
  const UnsignedWide huge = UnsignedWide{static_cast<std::uint64_t>(largest)} * static_cast<std::uint64_t>(largest);
  EXPECT_EQ(in_parts({huge, 1}, 1000), largest);
  EXPECT_EQ(in_parts({huge, huge}, 1000), 1000);
}

}  // namespace
}  // namespace ultramarine::core
