// Traces as text: what is read, and that every mistake is answered with its place and a remedy.
#include "scheduler/simulator/traces/trace.h"

#include <gtest/gtest.h>

#include <functional>

namespace ultramarine::simulator {
namespace {

Trace csv(const std::string& text, BadRows bad_rows = BadRows::refused) { return parse_csv(text, "t.csv", bad_rows); }
Trace swf(const std::string& text, BadRows bad_rows = BadRows::refused) { return parse_swf(text, "t.swf", bad_rows); }

std::string error_of(const std::function<void()>& read) {
  try {
    read();
  } catch (const protocol::ConfigError& error) {
    return error.what();
  }
  return "no error";
}

const std::string header = "id,submit_s,runtime_s,gpus\n";

TEST(TracesCsv, ColumnsMayComeInAnyOrderAndRowsUnsorted) {
  const Trace trace = csv("gpus,user,id,runtime_s,submit_s,limit_s,account\n4,ann,b,10,7,60,lab-a\n1,,a,20,5,,\n2,bob,c,30,7,90,lab-b\n");
  ASSERT_EQ(trace.jobs.size(), 3u);
  const TraceJob b{.id = "b", .submit_s = 7, .runtime_s = 10, .gpus = 4, .limit_s = 60, .account = "lab-a", .user = "ann", .line = 2};
  EXPECT_EQ(trace.jobs[0].id, "a");
  EXPECT_EQ(trace.jobs[0].limit_s, std::nullopt);
  EXPECT_EQ(trace.jobs[1], b);  // before c of the same second, as in the file
  EXPECT_EQ(trace.jobs[2].id, "c");
}

TEST(TracesCsv, QuotesCarriageReturnsAndAByteOrderMark) {
  const Trace trace = csv("\xEF\xBB\xBF\"id\",submit_s,runtime_s,gpus\r\n\"a, \"\"b\"\"\",0,1,1\r\n\r\nc,1,1,1");
  ASSERT_EQ(trace.jobs.size(), 2u);
  EXPECT_EQ(trace.jobs[0].id, "a, \"b\"");
  EXPECT_EQ(trace.jobs[1].line, 4);
}

TEST(TracesCsv, ColumnsThatNobodyKnowsAreNamed) {
  EXPECT_EQ(csv("id,submit_s,runtime_s,gpus,limit,colour\na,0,1,1,9,red\n").unused_columns, (std::vector<std::string>{"limit", "colour"}));
}

TEST(TracesCsv, AHeaderThatLacksAColumnIsRefusedInAnyCase) {
  const auto error = error_of([] { csv("id,submit,runtime_s\na,0,1\n", BadRows::skipped); });
  EXPECT_NE(error.find("t.csv:1:1: header: there is no column submit_s, gpus"), std::string::npos) << error;
  EXPECT_NE(error_of([] { csv(""); }).find("t.csv:1:1: header: the file is empty"), std::string::npos);
  EXPECT_NE(error_of([] { csv("id,id,submit_s,runtime_s,gpus\n"); }).find("\"id\" is there twice"), std::string::npos);
}

TEST(TracesCsv, AMistakeIsNamedWithLineAndColumn) {
  const std::pair<std::string, std::string> cases[] = {
      {"a,0,1,1\nb,1,x,1\n", "t.csv:3:5: runtime_s: \"x\" is not a whole number"},
      {"a,0,1,1\nb,1,2,0\n", "t.csv:3:7: gpus: 0 is out of range"},
      {"a,-1,1,1\n", "t.csv:2:3: submit_s: -1 is out of range"},
      {"a,99999999999999999999,1,1\n", "t.csv:2:3: submit_s: 99999999999999999999 is out of range"},
      {"a,0,1.5,1\n", "t.csv:2:5: runtime_s: \"1.5\" is not a whole number"},
      {"a,0,,1\n", "t.csv:2:5: runtime_s: nothing is there"},
      {",0,1,1\n", "t.csv:2:1: id: nothing is there"},
      {"a,0,1\n", "t.csv:2:6: 3 fields, the header names 4"},
      {"a,0,1,1,5\n", "t.csv:2:9: 5 fields, the header names 4"},
      {"\"a,0,1,1\n", "t.csv:2:1: a quote isn't closed"},
      {"\"a\"b,0,1,1\n", "t.csv:2:4: something follows a closing quote"},
  };
  for (const auto& [rows, expected] : cases) {
    const std::string error = error_of([&, &text = rows] { csv(header + text); });
    EXPECT_EQ(error.rfind(expected, 0), 0u) << error;
    EXPECT_NE(error.find("; "), std::string::npos) << "a remedy: " << error;
  }
}

TEST(TracesCsv, BadRowsCanBeLeftOutAndAreCounted) {
  const Trace trace = csv(header + "a,0,1,1\nb,zero,1,1\nc,0,1\nd,2,1,1\n", BadRows::skipped);
  EXPECT_EQ(trace.jobs.size(), 2u);
  EXPECT_EQ(trace.bad_rows, 2);
  EXPECT_EQ(trace.first_bad_row.rfind("t.csv:3:3: submit_s: \"zero\" is not a whole number", 0), 0u) << trace.first_bad_row;
}

//                         number submit wait run alloc cpu mem req-procs req-time req-mem status user group program queue partition before think
const std::string swf_row = "  17     30   5  100   8   -1  -1     16      3600      -1      1    4     2      7      3      1      -1    -1\n";

TEST(TracesSwf, EighteenFieldsBecomeAJob) {
  const Trace trace = swf("; MaxProcs: 64\n\n" + swf_row);
  ASSERT_EQ(trace.jobs.size(), 1u);
  const TraceJob expected{.id = "17", .submit_s = 30, .runtime_s = 100, .gpus = 16, .limit_s = 3600, .account = "2", .user = "4", .partition = "1", .qos = "3", .line = 3};
  EXPECT_EQ(trace.jobs[0], expected);
}

TEST(TracesSwf, WhatIsNotKnownIsLeftOutWhereItCanBe) {
  const Trace trace = swf("1\t30 -1 100 8 -1 -1 -1 -1 -1 1 -1 -1 -1 -1 -1 -1 -1\n");
  ASSERT_EQ(trace.jobs.size(), 1u);
  const TraceJob expected{.id = "1", .submit_s = 30, .runtime_s = 100, .gpus = 8, .line = 1};
  EXPECT_EQ(trace.jobs[0], expected);
}

TEST(TracesSwf, AMistakeIsNamedWithLineAndColumn) {
  const std::string unknown_runtime = "1 30 -1 -1 8 -1 -1 -1 -1 -1 1 -1 -1 -1 -1 -1 -1 -1\n";
  EXPECT_EQ(error_of([&] { swf("; x\n" + unknown_runtime); }).rfind("t.swf:2:9: run time (field 4): -1: it isn't known", 0), 0u);
  EXPECT_EQ(error_of([] { swf("1 30 -1 5 -1 -1 -1 -1 -1 -1 1 -1 -1 -1 -1 -1 -1 -1\n"); }).rfind("t.swf:1:11: allocated processors (field 5): -1", 0), 0u);
  EXPECT_EQ(error_of([] { swf("1 30 -1\n"); }).rfind("t.swf:1:6: 3 fields, a job has 18", 0), 0u);
  const Trace trace = swf(unknown_runtime + swf_row, BadRows::skipped);
  EXPECT_EQ(trace.bad_rows, 1);
  EXPECT_EQ(trace.jobs.size(), 1u);
}

TEST(Traces, AFileThatCantBeReadIsNamed) {
  EXPECT_EQ(error_of([] { load_trace("/nowhere/t.csv", "", BadRows::refused); }).rfind("/nowhere/t.csv: trace: can't read it: No such file", 0), 0u);
  EXPECT_EQ(error_of([] { load_trace("/", "", BadRows::refused); }).rfind("/: trace: it is a folder", 0), 0u);
}

TEST(Traces, AShareOfTheJobsFailsEarlyAsTheSeedSays) {
  std::string rows = "id,submit_s,runtime_s,gpus\n";
  for (int i = 0; i < 2000; ++i) rows += "j" + std::to_string(i) + "," + std::to_string(i) + "," + (i % 10 == 0 ? "7" : "5000") + ",1\n";
  const Trace before = parse_csv(rows, "t.csv", BadRows::refused);
  Trace one = before, same = before, other = before;
  fail_early(one, 150, 1);
  fail_early(same, 150, 1);
  fail_early(other, 150, 2);
  EXPECT_EQ(one.jobs, same.jobs);
  EXPECT_NE(one.jobs, other.jobs);
  std::int64_t failing = 0;
  for (const TraceJob& job : one.jobs) {
    if (!job.fails_after_s) continue;
    ++failing;
    EXPECT_GE(*job.fails_after_s, 5);
    EXPECT_LE(*job.fails_after_s, std::min<std::int64_t>(job.runtime_s, 60));
  }
  EXPECT_NEAR(static_cast<double>(failing), 300, 60);
}

}  // namespace
}  // namespace ultramarine::simulator
