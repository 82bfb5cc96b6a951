// `ultra timeline`: what becomes a bar, where it is drawn, the axis in time zones that change their clocks, and the
// verb on a pipe.
#include "scheduler/cli/timeline.h"

#include <gtest/gtest.h>

#include <rapidcheck/gtest.h>

#include <algorithm>

#include "scheduler/cli/text_width.h"
#include "scheduler/cli/timeline_chart.h"
#include "scheduler/cli/zone_time.h"
#include "scheduler/protocol/codec.h"
#include "tests/unit/cli/fake_api.h"

namespace ultramarine::cli {
namespace {

using test::FakeApi;
using test::fixed_now;  // 2023-11-14 22:13:20 UTC
using test::Ran;
using test::run;

std::vector<std::string> lines_in(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t end = std::min(text.find('\n', from), text.size());
    lines.push_back(text.substr(from, end - from));
    from = end + 1;
  }
  return lines;
}

protocol::JobView unplanned_job() {
  protocol::JobView view = test::queued_job();
  view.details.job = {13};
  view.details.spec.name = "after";
  view.planned->start_ms.reset();
  view.planned->end_ms.reset();
  view.why = "It waits for job 99 to complete. It has no planned start.";
  return view;
}

protocol::JobList four_jobs() {
  return {fixed_now, {test::running_job(), test::queued_job(), unplanned_job(), test::failed_job()}};
}

Reservation maintenance() {
  Reservation one{.name = "pumps",
                  .nodes = {"node02"},
                  .accounts = {},
                  .start_ms = fixed_now + hours(1),
                  .end_ms = fixed_now + hours(2),
                  .reason = "pumps",
                  .actor = {}};
  return one;
}

const std::vector<ChartNode> two_nodes{{"node01", 8}, {"node02", 8}};

TEST(Timeline, AStayIsABarFromTheDecisionToItsEndOrLimit) {
  const Timeline timeline = timeline_of(four_jobs(), {maintenance()}, "UTC", {});
  ASSERT_EQ(timeline.jobs.size(), 3U);
  const TimelineBar held = timeline.jobs[0].bars.at(0), planned = timeline.jobs[1].bars.at(0),
                    ended = timeline.jobs[2].bars.at(0);
  EXPECT_EQ(held.kind, BarKind::held);
  EXPECT_EQ(held.start_ms, fixed_now - minutes(6));
  EXPECT_EQ(held.end_ms, fixed_now - minutes(5) + hours(2));
  EXPECT_EQ(planned.kind, BarKind::planned);
  EXPECT_EQ(planned.start_ms, fixed_now + minutes(14));
  EXPECT_EQ(planned.end_ms, fixed_now + minutes(134));
  EXPECT_EQ(ended.kind, BarKind::ended);
  EXPECT_EQ(ended.end_ms, fixed_now - minutes(1));
  ASSERT_EQ(timeline.unplanned.size(), 1U);
  EXPECT_EQ(timeline.unplanned[0].job, "13");
  EXPECT_EQ(timeline.start_ms, fixed_now - minutes(6)) << "no further back than anything goes";
  EXPECT_EQ(timeline.end_ms, fixed_now + minutes(134));
}

TEST(Timeline, LengthsAreBoundedUnlessTheyAreGiven) {
  protocol::JobList list{fixed_now, {test::running_job(), test::completed_job()}};
  list.jobs[0].details.attempts[0].decided_ms = fixed_now - hours(9);
  list.jobs[0].details.spec.time_limit_ms = hours(90);
  Timeline timeline = timeline_of(list, {}, "UTC", {});
  EXPECT_EQ(timeline.start_ms, fixed_now - hours(2));
  EXPECT_EQ(timeline.end_ms, fixed_now + hours(24));
  timeline = timeline_of(list, {}, "UTC", {.past = seconds(30), .next = hours(100)});
  EXPECT_EQ(timeline.start_ms, fixed_now - seconds(30));
  EXPECT_EQ(timeline.end_ms, fixed_now + hours(100));
  EXPECT_EQ(timeline.jobs.size(), 1U) << "what ended a minute ago is out of sight";
  timeline = timeline_of({fixed_now, {}}, {}, "UTC", {});
  EXPECT_EQ(timeline.start_ms, fixed_now - minutes(1));
  EXPECT_EQ(timeline.end_ms, fixed_now + minutes(1));
}

TEST(Timeline, AJobPastItsLimitStillRunsNow) {
  protocol::JobList list{fixed_now, {test::running_job()}};
  list.jobs[0].details.state = JobState::stopping;
  list.jobs[0].details.spec.time_limit_ms = minutes(1);
  const TimelineBar bar = timeline_of(list, {}, "UTC", {}).jobs.at(0).bars.at(0);
  EXPECT_GT(bar.end_ms, fixed_now);
}

TEST(Timeline, ARequeuedJobHasABarForEachStay) {
  protocol::JobView view = test::queued_job();
  view.details.attempts = test::failed_job().details.attempts;
  const Timeline timeline = timeline_of({fixed_now, {view}}, {}, "UTC", {});
  ASSERT_EQ(timeline.jobs.at(0).bars.size(), 2U);
  EXPECT_EQ(timeline.jobs[0].bars[0].kind, BarKind::ended);
  EXPECT_EQ(timeline.jobs[0].bars[1].kind, BarKind::planned);
  EXPECT_TRUE(timeline.unplanned.empty());
}

TEST(TimelineChart, OfJobsHasLabelsAnAxisAndBars) {
  const Timeline timeline =
      timeline_of(four_jobs(), {maintenance()}, "UTC", {.past = minutes(20), .next = minutes(140)});
  EXPECT_EQ(chart_of_jobs(timeline, two_nodes, {.columns = 80, .utf8 = true, .colour = false}),
            "2023-11-14 UTC                   22:00    22:30    23:00    23:30    11-15\n"
            "JOB  NAME   ACCOUNT      GPUS  ──┴───▼────┴────────┴────────┴────────┴──────────\n"
            "  9  train  vision         16      ███▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓\n"
            " 12  train  vision         16        │   ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░\n"
            "  7  train  vision         16      ▒▒│\n"
            "  -  pumps  maintenance     8        │                 ╳╳╳╳╳╳╳╳╳╳╳╳╳╳╳╳╳╳╳\n");
}

TEST(TimelineChart, WithoutUtf8IsAscii) {
  protocol::JobList list = four_jobs();
  list.jobs.pop_back();
  list.jobs[0].details.spec.name = "a name that is far too long for this";
  const Timeline timeline = timeline_of(list, {maintenance()}, "America/Argentina/ComodRivadavia", {});
  for (const std::string& text : {chart_of_jobs(timeline, two_nodes, {.columns = 80, .utf8 = false, .colour = false}),
                                  chart_of_nodes(timeline, two_nodes, {.columns = 80, .utf8 = false, .colour = false}),
                                  chart_legend({.columns = 80, .utf8 = false, .colour = false})}) {
    EXPECT_TRUE(std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; }))
        << text;
    EXPECT_NE(text.find('#'), std::string::npos) << text;
  }
}

TEST(TimelineChart, KeepsToItsWidthWithHangulToo) {
  protocol::JobList list = four_jobs();
  list.jobs[0].details.spec.name = "아주-긴-이름의-학습-작업입니다-정말로";
  list.jobs[1].details.spec.account = "비전-연구실";
  const Timeline timeline = timeline_of(list, {maintenance()}, "Asia/Seoul", {});
  for (const std::size_t columns : {40U, 60U, 80U, 200U}) {
    std::size_t bars_begin = 0;
    for (const std::string& line :
         lines_in(chart_of_jobs(timeline, two_nodes, {.columns = columns, .utf8 = true, .colour = false}))) {
      EXPECT_LE(display_width(line), columns) << line;
      const std::size_t at = line.find("█");
      if (at != std::string::npos) bars_begin = display_width(line.substr(0, at));
    }
    EXPECT_GT(bars_begin, 0U) << "the running job is there in " << columns << " columns";
  }
}

TEST(TimelineChart, OfNodesGroupsGpusThatHoldTheSame) {
  protocol::JobList list = four_jobs();
  list.jobs[0].details.attempts[0].allocation = {{"node01", {0, 1, 2}}};
  list.jobs[1].planned->allocation = {{"node01", {3}}};
  list.jobs.resize(2);
  const auto lines = lines_in(chart_of_nodes(timeline_of(list, {maintenance()}, "UTC", {}), two_nodes,
                                             {.columns = 80, .utf8 = true, .colour = false}));
  ASSERT_EQ(lines.size(), 6U);
  EXPECT_TRUE(lines[2].starts_with("node01   0-2  █9█")) << lines[2];
  EXPECT_NE(lines[3].find("░12░"), std::string::npos) << lines[3];
  EXPECT_TRUE(lines[3].starts_with("           3  ")) << lines[3];
  EXPECT_TRUE(lines[4].starts_with("         4-7  ")) << lines[4];
  EXPECT_EQ(lines[4].find("╳"), std::string::npos);
  EXPECT_TRUE(lines[5].starts_with("node02   0-7  ")) << lines[5];
  EXPECT_NE(lines[5].find("╳╳"), std::string::npos) << "maintenance lies on its node";
}

TEST(TimelineChart, OfNodesShowsWhatRunsBeforeWhatRan) {
  protocol::JobList list = four_jobs();
  Attempt& gone = list.jobs[3].details.attempts[0];
  gone.ended_ms = list.jobs[0].details.attempts[0].decided_ms;
  gone.decided_ms = *gone.ended_ms - seconds(1);  // in the same column
  const auto lines = lines_in(chart_of_nodes(timeline_of(list, {}, "UTC", {.past = hours(1), .next = {}}), two_nodes,
                                             {.columns = 60, .utf8 = true, .colour = false}));
  EXPECT_EQ(lines.at(2).find("▒"), std::string::npos) << lines[2];
  EXPECT_NE(lines[2].find("█"), std::string::npos) << lines[2];
}

TEST(TimelineChart, WhatIsPlannedForLaterPointsThere) {
  const Timeline timeline =
      timeline_of({fixed_now, {test::queued_job()}}, {}, "UTC", {.past = {}, .next = minutes(10)});
  const auto lines = lines_in(chart_of_jobs(timeline, two_nodes, {.columns = 60, .utf8 = true, .colour = false}));
  EXPECT_TRUE(lines.at(2).ends_with("→")) << lines[2];
  EXPECT_EQ(lines[2].find("░"), std::string::npos);
}

TEST(TimelineChart, ColoursAccountsAndDimsWhatHasEnded) {
  const std::string text =
      chart_of_jobs(timeline_of(four_jobs(), {}, "UTC", {}), two_nodes, {.columns = 80, .utf8 = true, .colour = true});
  EXPECT_NE(text.find("\033[32m█"), std::string::npos);
  EXPECT_NE(text.find("\033[2m▒"), std::string::npos);
  EXPECT_EQ(chart_of_jobs(timeline_of(four_jobs(), {}, "UTC", {}), two_nodes, {}).find('\033'), std::string::npos);
}

TEST(TimelineAxis, TicksAreRoundTimesOfTheZone) {
  const Time start{1'774'738'800'000};  // 2026-03-29 00:00 in Berlin, where 02:00 is skipped
  const auto labels = [&](const ChartWindow& window, std::size_t width, const std::string& zone) {
    std::string text;
    for (const ChartTick& tick : ticks_of(window, width, zone))
      text += std::to_string(tick.column) + "=" + tick.label + " ";
    return text;
  };
  EXPECT_EQ(labels({start, start + hours(6)}, 60, "Europe/Berlin"),
            "0=03-29 10=01:00 20=03:00 30=04:00 40=05:00 50=06:00 ");
  EXPECT_EQ(labels({start, start + hours(6)}, 60, "UTC"), "0=23:00 10=03-29 20=01:00 30=02:00 40=03:00 50=04:00 ");
  EXPECT_EQ(labels({start + minutes(7), start + minutes(19)}, 48, "Asia/Seoul"),
            "4=08:08 12=08:10 20=08:12 28=08:14 36=08:16 ");
  EXPECT_EQ(labels({start, start + hours(24 * 8)}, 80, "UTC"),
            "0=03-29 10=03-30 20=03-31 30=04-01 40=04-02 50=04-03 60=04-04 70=04-05 ");
  EXPECT_EQ(labels({start, start + seconds(20)}, 60, "UTC"), "0=23:00:00 15=23:00:05 30=23:00:10 45=23:00:15 ");
  EXPECT_EQ(labels({start, start + hours(6)}, 60, "No/Such"), labels({start, start + hours(6)}, 60, "UTC"));
}

TEST(TimelineAxis, ClocksThatAreSetBackGiveAscendingMarks) {
  const Time start{1'792'879'200'000};  // 2026-10-25 00:00 in Berlin, where 02:00 to 03:00 comes twice
  const auto marks = zone_marks(start, start + hours(6), hours(1), "Europe/Berlin");
  EXPECT_EQ(marks.size(), 5U);
  EXPECT_TRUE(std::is_sorted(marks.begin(), marks.end()));
  EXPECT_EQ(zone_time(marks.at(2), "Europe/Berlin", "%H:%M"), "02:00");
  EXPECT_EQ(zone_time(marks.at(3), "Europe/Berlin", "%H:%M"), "03:00");
}

RC_GTEST_PROP(TimelineChart, BarsAreInsideMonotoneAndCoverNow, ()) {
  const std::int64_t length = *rc::gen::inRange<std::int64_t>(1, 400LL * 86'400'000);
  const ChartWindow window{fixed_now, fixed_now + Duration{length}};
  const auto width = *rc::gen::inRange<std::size_t>(1, 300);
  const auto instant = rc::gen::map(rc::gen::inRange<std::int64_t>(-length, 2 * length),
                                    [](std::int64_t ms) { return fixed_now + Duration{ms}; });
  const Time a = *instant, b = *instant, c = *instant;
  RC_ASSERT(column_of(a, window, width) < width);
  RC_ASSERT((a <= b) <= (column_of(a, window, width) <= column_of(b, window, width)));
  const Time from = std::min(a, b), to = std::max(a, b);
  const auto span = span_of(from, to, window, width);
  RC_ASSERT(span.has_value() == (from < to && to > window.start && from < window.end));
  if (!span) return;
  RC_ASSERT(span->first <= span->last);
  RC_ASSERT(span->last < width);
  if (from <= c && c < to && window.start <= c && c < window.end) {
    RC_ASSERT(span->first <= column_of(c, window, width));
    RC_ASSERT(column_of(c, window, width) <= span->last);
  }
}

/// Column by column, whatever bytes it takes.
std::vector<std::string> columns_in(const std::string& line) {
  std::vector<std::string> columns;
  for (const char byte : line) {
    if ((static_cast<unsigned char>(byte) & 0xC0U) == 0x80U)
      columns.back() += byte;
    else
      columns.emplace_back(1, byte);
  }
  return columns;
}

RC_GTEST_PROP(TimelineChart, DrawnRowsBeginInTheOrderOfTheirStartsAndCoverNow, ()) {
  protocol::JobList list{fixed_now, {}};
  const auto count = *rc::gen::inRange<std::size_t>(1, 12);
  for (std::size_t i = 0; i < count; ++i) {
    protocol::JobView view = test::running_job();
    view.details.job = {static_cast<std::int64_t>(i) + 1};
    view.details.attempts[0].decided_ms = fixed_now - Duration{*rc::gen::inRange<std::int64_t>(0, 7'200'000)};
    view.details.attempts[0].started_ms = view.details.attempts[0].decided_ms;
    view.details.spec.time_limit_ms = Duration{*rc::gen::inRange<std::int64_t>(1, 90'000'000)};
    list.jobs.push_back(view);
  }
  std::sort(list.jobs.begin(), list.jobs.end(), [](const auto& one, const auto& other) {
    return one.details.attempts[0].decided_ms < other.details.attempts[0].decided_ms;
  });
  const auto columns = *rc::gen::inRange<std::size_t>(30, 200);
  const auto lines = lines_in(
      chart_of_jobs(timeline_of(list, {}, "UTC", {}), {}, {.columns = columns, .utf8 = true, .colour = false}));
  RC_ASSERT(lines.size() == count + 2);
  const auto axis = columns_in(lines[1]);
  const auto now = static_cast<std::size_t>(std::find(axis.begin(), axis.end(), "▼") - axis.begin());
  std::size_t before = 0;
  for (std::size_t i = 2; i < lines.size(); ++i) {
    const auto row = columns_in(lines[i]);
    const auto first = static_cast<std::size_t>(std::find(row.begin(), row.end(), "█") - row.begin());
    RC_ASSERT(first >= before);
    RC_ASSERT(row.size() > now);
    RC_ASSERT(row.size() <= std::max<std::size_t>(columns, axis.size()));
    RC_ASSERT(row[now] == "█");
    before = first;
  }
}

// ---- the verb

void answer_with(FakeApi& api, const protocol::JobList& jobs, const std::vector<Reservation>& reservations) {
  protocol::ClusterView cluster;
  cluster.time_zone = "Asia/Seoul";
  api.on("GET /v1/cluster", protocol::to_json(cluster));
  protocol::NodeList nodes;
  for (const ChartNode& node : two_nodes) {
    nodes.nodes.emplace_back();
    nodes.nodes.back().node.config.name = node.name;
    nodes.nodes.back().node.config.gpus = node.gpus;
  }
  api.on("GET /v1/nodes", test::json_of(nodes));
  api.on("GET /v1/reservations", protocol::to_json(protocol::ReservationList{fixed_now, reservations}));
  api.on("GET /v1/jobs", test::json_of(jobs));
}

TEST(TimelineVerb, OnAPipeIsPlainAndHundredColumnsWide) {
  FakeApi api;
  answer_with(api, four_jobs(), {maintenance()});
  const Ran ran = run(api, {"timeline"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(ran.out.find('\033'), std::string::npos);
  const auto lines = lines_in(ran.out);
  ASSERT_EQ(lines.size(), 9U) << ran.out;
  EXPECT_TRUE(lines[0].starts_with("2023-11-15 Asia/Seoul")) << lines[0];
  EXPECT_EQ(display_width(lines[1]), 100U);
  EXPECT_EQ(lines[7], "JOB\tNAME\tACCOUNT\tGPUS\tNO START IS PLANNED");
  EXPECT_EQ(lines[8], "13\tafter\tvision\t16\tIt waits for job 99 to complete");
  EXPECT_TRUE(lines[5].starts_with("  -  pumps  maintenance     8  ")) << lines[5];
  EXPECT_EQ(api.requests().back().query, (std::map<std::string, std::string>{{"all", "1"}}));
}

TEST(TimelineVerb, OnATerminalExplainsItsSignsBelow) {
  FakeApi api;
  answer_with(api, four_jobs(), {});
  Terminal terminal;
  terminal.out_is_terminal = true;
  terminal.columns = 70;
  Ran ran = run(api, {"timeline", "--nodes"}, terminal);
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_TRUE(ran.err.starts_with("From 2023-11-15 07:07 to 09:27 (Asia/Seoul). █ held until now")) << ran.err;
  for (const std::string& line : lines_in(ran.out)) EXPECT_LE(display_width(line), 70U) << line;
  terminal.utf8 = false;
  ran = run(api, {"timeline"}, terminal);
  EXPECT_NE(ran.out.find("##"), std::string::npos) << ran.out;
  EXPECT_EQ(ran.out.find("█"), std::string::npos);
}

TEST(TimelineVerb, AnEmptyClusterSaysSo) {
  FakeApi api;
  answer_with(api, {fixed_now, {}}, {});
  Ran ran = run(api, {"timeline"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "Nothing ran in this time, runs or waits.\n");
  ran = run(api, {"timeline", "--account", "vison"});
  EXPECT_EQ(ran.err, "No such jobs.\n");
  EXPECT_EQ(api.requests().at(api.requests().size() - 2).query,
            (std::map<std::string, std::string>{{"all", "1"}, {"account", "vison"}}));
}

TEST(TimelineVerb, JsonHasBarsAndReasons) {
  FakeApi api;
  answer_with(api, four_jobs(), {maintenance()});
  const Ran ran = run(api, {"timeline", "--json"});
  const auto timeline = protocol::from_json<Timeline>(ran.out);
  EXPECT_EQ(timeline.time_zone, "Asia/Seoul");
  ASSERT_EQ(timeline.jobs.size(), 3U);
  EXPECT_EQ(timeline.jobs[1].bars.at(0).kind, BarKind::planned);
  EXPECT_EQ(timeline.jobs[1].bars[0].allocation, test::queued_job().planned->allocation);
  EXPECT_EQ(timeline.unplanned.at(0).why, "It waits for job 99 to complete. It has no planned start.");
  EXPECT_EQ(timeline.reservations.at(0).name, "pumps");
}

TEST(TimelineVerb, NamesTheOptionThatIsWrong) {
  FakeApi api;
  EXPECT_EQ(run(api, {"timeline", "--past", "500d"}).err, "error: --past: 500d is out of range; give 1s to 366d\n");
  EXPECT_EQ(run(api, {"timeline", "--next", "soon"}).err,
            "error: --next: expected a length of time, got \"soon\"; write for example 30s, 10m, 2h, 1-12:00\n");
  EXPECT_EQ(run(api, {"timeline", "--interval", "1s"}).err,
            "error: --interval: says how often to look again; add --watch\n");
  EXPECT_EQ(run(api, {"timeline", "--nodes", "--json"}).err,
            "error: --nodes: can't be combined with --json; give one of them\n");
  EXPECT_EQ(run(api, {"timeline", "--me", "--user", "ada"}).code, 2);
}

}  // namespace
}  // namespace ultramarine::cli
