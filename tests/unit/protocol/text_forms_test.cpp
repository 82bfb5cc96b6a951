// Durations and hostlists: tables of what people type, and properties for everything else.
#include "scheduler/protocol/text_forms.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <set>

namespace ultramarine::protocol {
namespace {

TEST(ParseDuration, ReadsUnitsAndSlurmsForms) {
  struct Case {
    const char* text;
    std::int64_t ms;
  };
  constexpr std::int64_t s = 1000, m = 60 * s, h = 60 * m, d = 24 * h;
  const Case cases[] = {
      {"30s", 30 * s}, {"10m", 10 * m}, {"2h", 2 * h}, {"1d", d}, {"1h30m", h + 30 * m}, {"500ms", 500}, {"1d2h3m4s5ms", d + 2 * h + 3 * m + 4 * s + 5},
      {"1d 4h", d + 4 * h}, {"2h 05m", 2 * h + 5 * m}, {" 5m ", 5 * m}, {"0s", 0}, {"90m", 90 * m}, {"100d", 100 * d},
      {"60", 60 * m}, {"0", 0}, {"90:30", 90 * m + 30 * s}, {"1:2:3", h + 2 * m + 3 * s}, {"24:00:00", d}, {"1-12", d + 12 * h},
      {"1-12:30", d + 12 * h + 30 * m}, {"7-00:00:00", 7 * d}, {"2-3:4:5", 2 * d + 3 * h + 4 * m + 5 * s},
  };
  for (const auto& one : cases) EXPECT_EQ(parse_duration(one.text), Duration{one.ms}) << one.text;
}

TEST(ParseDuration, RefusesEverythingElse) {
  const char* cases[] = {"", " ", "s", "h1", "1x", "1.5h", "-5m", "-1", "1h1h", "30m1h", "1m1h", "1h 30", "1h30", "5 m", "1 0m", "1:2:3:4", "1:", ":1", "1-",
                         "-1:00", "1-2-3", "1-2:3:4:5", "1h-2", "99999999999999999999s", "9223372036854775807d", "106751991168d", "153722867280912931",
                         "9223372036854775808ms", "unlimited", "1h,", "1\t", "\n1h"};
  for (const char* text : cases) EXPECT_EQ(parse_duration(text), std::nullopt) << text;
  EXPECT_EQ(parse_duration(std::string_view("1h\0", 3)), std::nullopt);
}

TEST(FormatDuration, UsesTwoUnitsAtTheMost) {
  struct Case {
    std::int64_t ms;
    const char* text;
  };
  constexpr std::int64_t s = 1000, m = 60 * s, h = 60 * m, d = 24 * h;
  const Case cases[] = {{0, "0s"}, {500, "500ms"}, {1000, "1s"}, {42 * s + 999, "42s"}, {m, "1m"}, {3 * m + 20 * s, "3m 20s"}, {3 * m + 5 * s, "3m 05s"},
                        {2 * h, "2h"}, {2 * h + 5 * m + 59 * s, "2h 05m"}, {d + 4 * h + 59 * m, "1d 4h"}, {d, "1d"}, {7 * d, "7d"}, {-90 * s, "-1m 30s"}};
  for (const auto& one : cases) EXPECT_EQ(format_duration({one.ms}), one.text);
  EXPECT_EQ(format_duration({std::numeric_limits<std::int64_t>::min()}).front(), '-');
}

RC_GTEST_PROP(FormatDuration, IsReadBackWithinItsSmallerUnit, ()) {
  const Duration length{*rc::gen::inRange<std::int64_t>(0, 400LL * 86'400'000)};
  const auto back = parse_duration(format_duration(length));
  RC_ASSERT(back.has_value());
  RC_ASSERT(*back <= length);
  const std::int64_t unit = length < seconds(1) ? 1 : length < hours(1) ? 1000 : length < hours(24) ? 60'000 : 3'600'000;
  RC_ASSERT(length.ms - back->ms < unit);
  RC_ASSERT(format_duration(*back) == format_duration(length));
}

RC_GTEST_PROP(ParseDuration, NeverReadsANegativeLength, ()) {
  const auto text = *rc::gen::container<std::string>(rc::gen::elementOf(std::string("0123456789999dhms:- ")));
  const auto length = parse_duration(text);
  RC_ASSERT(length.value_or(Duration{0}) >= Duration{0});
}

using Names = std::vector<std::string>;

TEST(ExpandHostlist, ExpandsInOrderAndKeepsPadding) {
  struct Case {
    const char* text;
    Names names;
  };
  const Case cases[] = {
      {"node[01-03]", {"node01", "node02", "node03"}},
      {"a[1-2]b[3-4]", {"a1b3", "a1b4", "a2b3", "a2b4"}},
      {"x,y[1,3,5-7]", {"x", "y1", "y3", "y5", "y6", "y7"}},
      {"node[08-11]", {"node08", "node09", "node10", "node11"}},
      {"n[098-101]", {"n098", "n099", "n100", "n101"}},
      {"n[99-101]", {"n99", "n100", "n101"}},
      {"n[3,1]", {"n3", "n1"}},
      {"n[0-1]-ib", {"n0-ib", "n1-ib"}},
      {"n[5]", {"n5"}},
      {"10.0.0.[9-10]", {"10.0.0.9", "10.0.0.10"}},
      {"a, b", {"a", "b"}},
      {"a,a", {"a", "a"}},
      {"[1-2]", {"1", "2"}},
      {"n[00-01]", {"n00", "n01"}},
  };
  for (const auto& one : cases) EXPECT_EQ(expand_hostlist(one.text), one.names) << one.text;
}

TEST(ExpandHostlist, RefusesMalformedText) {
  const char* cases[] = {"", " ", ",", "a,", ",a", "a,,b", "n[", "n]", "n[]", "n[1", "n[1-]", "n[-1]", "n[2-1]", "n[1-2-3]", "n[[1]]", "n[1]]", "n[a]", "n[1,]",
                         "n[,1]", "n[1 -2]", "n[1-08]", "n[001-08]", "a b", "n[1;2]", "n[9999999999999999999]", "n\n", "a/b", "n:1"};
  for (const char* text : cases) EXPECT_EQ(expand_hostlist(text), std::nullopt) << text;
}

TEST(ExpandHostlist, StopsAtItsLimitWithoutDoingTheWork) {
  EXPECT_EQ(expand_hostlist("n[1-65536]")->size(), 65'536u);
  EXPECT_EQ(expand_hostlist("n[1-65537]"), std::nullopt);
  EXPECT_EQ(expand_hostlist("n[1-65536],x"), std::nullopt);
  EXPECT_EQ(expand_hostlist("n[0-999999999999999999]"), std::nullopt);
  EXPECT_EQ(expand_hostlist("[1-60000][1-60000][1-60000]"), std::nullopt);
  EXPECT_EQ(expand_hostlist("[1-40000,1-40000]"), std::nullopt);
}

TEST(FoldHostlist, FoldsNumbersOfEqualPadding) {
  struct Case {
    Names names;
    const char* text;
  };
  const Case cases[] = {
      {{}, ""},
      {{"login"}, "login"},
      {{"node03"}, "node03"},
      {{"node01", "node02", "node03", "node05"}, "node[01-03,05]"},
      {{"node3", "node1", "node2"}, "node[1-3]"},
      {{"node08", "node09", "node10", "node11"}, "node[08-11]"},
      {{"n8", "n9", "n10"}, "n[8-10]"},
      {{"n1", "n01"}, "n1,n01"},
      {{"b1", "a1", "b2"}, "b[1-2],a1"},
      {{"n1-ib", "n2-ib", "n1"}, "n[1-2]-ib,n1"},
      {{"n1", "n1"}, "n1"},
      {{"n098", "n099", "n100"}, "n[098-100]"},
      {{"n12345678901234567890"}, "n12345678901234567890"},
  };
  for (const auto& one : cases) EXPECT_EQ(fold_hostlist(one.names), one.text);
}

RC_GTEST_PROP(FoldHostlist, IsTheInverseOfExpand, ()) {
  const auto names = *rc::gen::nonEmpty(rc::gen::container<Names>(rc::gen::apply(
      [](const std::string& prefix, int number, int width, const std::string& suffix) {
        std::string digits = std::to_string(number);
        if (digits.size() < static_cast<std::size_t>(width)) digits.insert(0, static_cast<std::size_t>(width) - digits.size(), '0');
        return prefix + digits + suffix;
      },
      rc::gen::elementOf(Names{"n", "node", "a1b", "gpu-"}), rc::gen::inRange(0, 120), rc::gen::inRange(1, 4), rc::gen::elementOf(Names{"", "-ib", ".x"}))));
  const std::string text = fold_hostlist(names);
  const auto back = expand_hostlist(text);
  RC_ASSERT(back.has_value());
  RC_ASSERT(std::set<std::string>(back->begin(), back->end()) == std::set<std::string>(names.begin(), names.end()));
  RC_ASSERT(std::set<std::string>(back->begin(), back->end()).size() == back->size());
  RC_ASSERT(fold_hostlist(*back) == text);
}

/// In the zone of Berlin, where it is Wednesday, 25 March 2026, 14:30:00 (+01:00); on the 29th clocks go ahead.
class Instant : public ::testing::Test {
 protected:
  static constexpr std::int64_t now_s = 1'774'445'400;
  void SetUp() override {
    const char* zone = std::getenv("TZ");
    if (zone) before_ = zone;
    setenv("TZ", "Europe/Berlin", 1);
    tzset();
  }
  void TearDown() override {
    before_ ? setenv("TZ", before_->c_str(), 1) : unsetenv("TZ");
    tzset();
  }
  /// Seconds from now.
  static std::optional<std::int64_t> from_now(std::string_view text) {
    const auto instant = parse_instant(text, {now_s * 1000});
    return instant ? std::optional(instant->ms / 1000 - now_s) : std::nullopt;
  }
  std::optional<std::string> before_;
};
constexpr std::int64_t hour_s = 3600, day_s = 86'400;

TEST_F(Instant, CountsFromNow) {
  EXPECT_EQ(from_now("now"), 0);
  EXPECT_EQ(from_now("now+60"), 60);
  EXPECT_EQ(from_now("now+1hour"), hour_s);
  EXPECT_EQ(from_now("Now+2hours"), 2 * hour_s);
  EXPECT_EQ(from_now("now+3 weeks"), 21 * day_s);
  EXPECT_EQ(from_now("now+1h30m"), 5400);
  for (const char* wrong : {"now-1h", "now+", "now+h", "now+1fortnight", "now+999999999999999999", "now+5000d", "nowadays"}) EXPECT_EQ(from_now(wrong), std::nullopt) << wrong;
}

TEST_F(Instant, OfADayIsTheNextOne) {
  EXPECT_EQ(from_now("16:00"), 90 * 60);
  EXPECT_EQ(from_now("14:30"), day_s) << "this very minute has begun";
  EXPECT_EQ(from_now("14:00:30"), day_s - 1770);
  EXPECT_EQ(from_now("4:30pm"), 2 * hour_s);
  EXPECT_EQ(from_now("12:15 AM"), 9 * hour_s + 45 * 60);
  EXPECT_EQ(from_now("3pm"), 30 * 60);
  EXPECT_EQ(from_now("teatime"), 90 * 60);
  EXPECT_EQ(from_now("midnight"), 9 * hour_s + 30 * 60);
  EXPECT_EQ(from_now("noon"), 21 * hour_s + 30 * 60);
}

TEST_F(Instant, OfADateIsItsMidnightUnlessATimeIsSaid) {
  EXPECT_EQ(from_now("today"), -14 * hour_s - 1800);
  EXPECT_EQ(from_now("tomorrow"), 9 * hour_s + 1800);
  EXPECT_EQ(from_now("tomorrowT10:00"), 19 * hour_s + 1800);
  EXPECT_EQ(from_now("tomorrow noon"), 21 * hour_s + 1800);
  EXPECT_EQ(from_now("2026-03-26"), 9 * hour_s + 1800);
  EXPECT_EQ(from_now("2026-03-29T04:00"), 3 * day_s + 13 * hour_s + 1800 - hour_s) << "that night has an hour less";
  EXPECT_EQ(from_now("03/26"), 9 * hour_s + 1800);
  EXPECT_EQ(from_now("03/26/26-10:00"), 19 * hour_s + 1800);
  EXPECT_EQ(from_now("03.26"), 9 * hour_s + 1800);
  EXPECT_EQ(from_now("0326"), 9 * hour_s + 1800);
  EXPECT_EQ(from_now("032626"), 9 * hour_s + 1800);
  EXPECT_EQ(from_now("03/24"), 364 * day_s - 14 * hour_s - 1800) << "the next one is in a year";
  EXPECT_EQ(from_now("03/25"), -14 * hour_s - 1800) << "today";
  EXPECT_EQ(from_now("@1774445460"), 60);
}

TEST_F(Instant, ThatIsNoneIsRefused) {
  for (const char* wrong : {"", "soon", "25:00", "12:60", "13pm", "0pm", "7", "2026-02-30", "2026-13-01", "26-03-25", "02/30", "1:2:3:4", "2026-03-25T", "2026-03-25Tx",
                            "tomorrows", "123", "12345", "@", "@12x", "03/26/2", "2026-03-25-10:00"})
    EXPECT_EQ(from_now(wrong), std::nullopt) << wrong;
}

}  // namespace
}  // namespace ultramarine::protocol
