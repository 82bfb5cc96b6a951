// Months of time zones, against instants that were worked out by hand (date -u -d ... +%s).
#include "scheduler/api/month.h"

#include <gtest/gtest.h>

namespace ultramarine::api {
namespace {

constexpr std::int64_t s = 1000;

void expect_month(std::int64_t now_s, const std::string& zone, std::int64_t start_s, std::int64_t end_s) {
  const Month month = month_of({now_s * s}, zone);
  EXPECT_EQ(month.start.ms, start_s * s) << zone;
  EXPECT_EQ(month.end.ms, end_s * s) << zone;
}

TEST(Month, BeginsAtMidnightOfTheZone) {
  expect_month(1'795'340'000, "UTC", 1'793'491'200, 1'796'083'200);            // 22 November 2026: 1 November to 1 December
  expect_month(1'795'340'000, "Asia/Seoul", 1'793'458'800, 1'796'050'800);     // nine hours before
  expect_month(1'796'050'800, "Asia/Seoul", 1'796'050'800, 1'798'729'200);     // its first instant; December, the next year follows
  expect_month(1'796'050'799, "Asia/Seoul", 1'793'458'800, 1'796'050'800);     // the last second before
}

TEST(Month, IsAnHourShorterOrLongerWhenClocksChange) {
  expect_month(1'774'000'000, "Europe/Berlin", 1'772'319'600, 1'774'994'400);  // March 2026: 1st 00:00 +01:00 to 1 April 00:00 +02:00
  EXPECT_EQ(1'774'994'400 - 1'772'319'600, 31 * 86'400 - 3'600);
  expect_month(1'793'000'000, "Europe/Berlin", 1'790'805'600, 1'793'487'600);  // October
  EXPECT_EQ(1'793'487'600 - 1'790'805'600, 31 * 86'400 + 3'600);
}

TEST(Month, IsFoundByItsName) {
  EXPECT_EQ(month_name({1'795'340'000 * s}, "UTC"), "2026-11");
  EXPECT_EQ(month_name({1'796'050'800 * s}, "Asia/Seoul"), "2026-12") << "in UTC it is still November";
  EXPECT_EQ(month_name({1'796'050'800 * s}, "UTC"), "2026-11");
  const auto month = named_month("2026-11", "Asia/Seoul");
  ASSERT_TRUE(month);
  EXPECT_EQ(month->start.ms, 1'793'458'800 * s);
  EXPECT_EQ(month->end.ms, 1'796'050'800 * s);
  EXPECT_EQ(named_month("1970-01", "UTC")->start.ms, 0);
  for (const char* wrong : {"", "2026", "2026-13", "2026-00", "2026-1", "26-11", "2026/11", "2026-11 ", "2026-1x", "1969-12", "November", "-026-11"}) EXPECT_FALSE(named_month(wrong, "UTC")) << wrong;
}

TEST(Month, KnowsWhatIsAZone) {
  EXPECT_TRUE(is_time_zone("America/New_York"));
  EXPECT_TRUE(is_time_zone("UTC"));
  EXPECT_FALSE(is_time_zone("Europe/Atlantis"));
  EXPECT_FALSE(is_time_zone(""));
}

}  // namespace
}  // namespace ultramarine::api
