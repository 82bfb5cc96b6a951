// `ultra report --plots`: names that would be commands to gnuplot stay text, charts say what the report says, and what
// goes wrong is said.
#include "scheduler/cli/verbs/report_plots.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "scheduler/cli/child_program.h"
#include "scheduler/protocol/codec.h"
#include "tests/unit/cli/fake_api.h"

namespace ultramarine::cli {
namespace {

using test::FakeApi;
using test::Ran;
using test::run;
namespace fs = std::filesystem;

constexpr std::int64_t ms_an_hour = 3'600'000;

protocol::ReportView report_of(const std::vector<std::string>& accounts) {
  protocol::ReportView view{.now_ms = {5},
                            .month = "2026-11",
                            .time_zone = "Asia/Seoul",
                            .start_ms = {1},
                            .end_ms = {9},
                            .currency = "KRW",
                            .price_per_gpu_hour_milli = 4'000'000,
                            .cloud_price_per_gpu_hour_milli = 5'600'000,
                            .accounts = {},
                            .total = {}};
  for (const std::string& name : accounts) {
    AccountReport row{.account = name,
                      .used_gpu_ms = 1'000 * ms_an_hour,
                      .failed_gpu_ms = 100 * ms_an_hour,
                      .idle_gpu_ms = 50 * ms_an_hour,
                      .cost_milli = 4'000'000'000,
                      .cloud_milli = 5'600'000'000};
    row.median_wait_ms = minutes(14);
    row.used_share_permille = 375;
    row.entitled_share_permille = 250;
    view.accounts.push_back(row);
  }
  return view;
}

/// What names may hold when nobody watches over them.
const std::vector<std::string> hostile{"`touch owned`",
                                       "\"; system('touch owned'); \"",
                                       "'; system(\"touch owned\") ; '",
                                       "a\\nb\\\\",
                                       "line\nset output 'owned'",
                                       "@owned $owned",
                                       "{/=50 big}_2^3",
                                       "100% %s %d",
                                       "<b>&amp;\"</b>",
                                       "EOD",
                                       "비전 연구실",
                                       "\033[31mred\xff",
                                       "'",
                                       "''",
                                       "''' ; system(\"touch owned\") #"};

TEST(Gnuplot, QuotedTextIsOneStringOnOneLine) {
  EXPECT_EQ(gnuplot_quoted("vision"), "'vision'");
  EXPECT_EQ(gnuplot_quoted("it's"), "'it’s'");
  EXPECT_EQ(gnuplot_quoted("a\nb\tc\r"), "'a?b?c?'");
  EXPECT_EQ(gnuplot_quoted("`x` \"y\" \\n %d"), "'`x` \"y\" \\n %d'");
  EXPECT_EQ(gnuplot_quoted("비전"), "'비전'");
  EXPECT_EQ(gnuplot_quoted("\xff"), "'?'");
  for (const std::string& name : hostile) {
    const std::string quoted = gnuplot_quoted(name);
    EXPECT_EQ(quoted.find('\n'), std::string::npos);
    EXPECT_EQ(quoted.find('\'', 1), quoted.size() - 1) << quoted << " ends before its end";
  }
}

TEST(Gnuplot, ScriptHasNamesOnlyInsideQuotes) {
  for (const auto& [file, chart] : charts_of(report_of(hostile))) {
    std::istringstream script(gnuplot_script({chart}, chart.title, PictureFormat::svg, file + ".svg"));
    for (std::string line; std::getline(script, line);) {
      std::string outside;
      bool quoted = false;
      for (const char c : line) {
        if (c == '\'')
          quoted = !quoted;
        else if (!quoted)
          outside += c;
      }
      EXPECT_FALSE(quoted) << line;
      for (const char* part : {"owned", "`", "\"", "@", "\\", "system", "비전"})
        EXPECT_EQ(outside.find(part), std::string::npos) << line;
    }
  }
}

TEST(Gnuplot, DrawsHostileNamesAsTheyAre) {
  const test::TemporaryFolder folder;
  const auto charts = charts_of(report_of(hostile));
  for (const auto& [file, chart] : charts) {
    const auto end = run_program({"gnuplot", "-d", "/dev/stdin"},
                                 gnuplot_script({chart}, chart.title, PictureFormat::svg, file), folder.path());
    ASSERT_TRUE(end) << "gnuplot-nox is one of the packages of scripts/setup";
    ASSERT_EQ(end->code, 0) << end->err;
    std::ostringstream text;
    text << std::ifstream(fs::path(folder.path()) / file).rdbuf();
    for (const char* part : {"`touch owned`", "a\\nb\\\\", "{/=50 big}_2^3", "100% %s %d", "&lt;b", "비전 연구실"})
      EXPECT_NE(text.str().find(part), std::string::npos) << part << " in " << file;
  }
  std::vector<std::string> there;
  for (const auto& entry : fs::directory_iterator(folder.path())) there.push_back(entry.path().filename().string());
  EXPECT_EQ(there.size(), charts.size()) << "nothing but pictures was made";
}

TEST(Gnuplot, TitlesInSvgAreEscapedAndInTheOrderOfTheBars) {
  const auto charts = charts_of(report_of({"a<b>", "c&d"}));
  const std::string svg =
      "<title>Gnuplot</title><title>gnuplot_plot_1</title><g/><title>gnuplot_plot_2</title><title>mine</"
      "title><title>gnuplot_plot_3</title>";
  EXPECT_EQ(with_svg_titles(svg, {charts.at(0).second}, "Shares & more"),
            "<title>Shares &amp; more</title><title>a&lt;b&gt;, used: 37.5%</title><g/><title>c&amp;d, used: "
            "37.5%</title><title>mine</title><title>a&lt;b&gt;, entitled: 25.0%</title>");
}

TEST(ReportCharts, SayWhatTheReportSays) {
  const auto charts = charts_of(report_of({"vision"}));
  ASSERT_EQ(charts.size(), 4U);
  const BarChart &shares = charts[0].second, &hours = charts[1].second, &cost = charts[2].second,
                 &waits = charts[3].second;
  EXPECT_EQ(charts[1].first, "gpu-hours");
  EXPECT_EQ(shares.series.at(0).values, (std::vector<std::optional<double>>{37.5}));
  EXPECT_EQ(shares.series.at(1).values, (std::vector<std::optional<double>>{25.0}));
  EXPECT_TRUE(hours.stacked);
  EXPECT_EQ(hours.series.at(0).values[0], 850.0);
  EXPECT_EQ(hours.series.at(1).values[0], 100.0);
  EXPECT_EQ(hours.series.at(2).values[0], 50.0);
  EXPECT_EQ(hours.totals, std::vector<std::string>{"1,000.0"});
  EXPECT_EQ(cost.axis, "KRW");
  EXPECT_EQ(cost.series.at(0).texts, std::vector<std::string>{"4,000,000"});
  EXPECT_EQ(waits.axis, "minutes");
  EXPECT_EQ(waits.series.at(0).values[0], 14.0);
}

TEST(ReportCharts, LeaveOutWhatNobodyKnows) {
  protocol::ReportView report = report_of({"vision", "audio"});
  report.price_per_gpu_hour_milli = report.cloud_price_per_gpu_hour_milli = 0;
  for (AccountReport& row : report.accounts) row.median_wait_ms.reset(), row.entitled_share_permille.reset();
  const auto charts = charts_of(report);
  ASSERT_EQ(charts.size(), 2U);
  EXPECT_EQ(charts[0].second.series.at(1).values, (std::vector<std::optional<double>>{std::nullopt, std::nullopt}));
  report = report_of({"vision"});
  report.cloud_price_per_gpu_hour_milli = 0;
  EXPECT_EQ(charts_of(report).at(2).second.series.size(), 1U);
}

TEST(ReportPlots, APictureIsReplacedWhole) {
  FakeApi api;
  api.on("GET /v1/report", protocol::to_json(report_of({"vision"})));
  const test::TemporaryFolder folder;
  const std::string file = folder.path() + "/it's a report.PNG";
  std::ofstream(file) << "an old one";
  const Ran ran = run(api, {"report", "--plots", file});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, file + "\n");
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  EXPECT_EQ(text.str().substr(0, 8), "\x89PNG\r\n\x1a\n");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 1)
      << "nothing else is left";
}

TEST(ReportPlots, AFolderGetsEachChartTwice) {
  FakeApi api;
  api.on("GET /v1/report", protocol::to_json(report_of({"vision"})));
  const test::TemporaryFolder folder;
  const Ran ran = run(api, {"report", "--plots", folder.path() + "/new/deck"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  std::string expected;
  for (const char* name :
       {"shares.png", "shares.svg", "gpu-hours.png", "gpu-hours.svg", "cost.png", "cost.svg", "waits.png", "waits.svg"})
    expected += folder.path() + "/new/deck/" + name + "\n";
  EXPECT_EQ(ran.out, expected);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path() + "/new/deck"), fs::directory_iterator()), 8);
}

/// PATH as told, until the end.
class Path {
 public:
  explicit Path(const std::string& path) : old_(std::getenv("PATH")) { setenv("PATH", path.c_str(), 1); }
  ~Path() { setenv("PATH", old_.c_str(), 1); }
  Path(const Path&) = delete;
  Path& operator=(const Path&) = delete;

 private:
  const std::string old_;
};

TEST(ReportPlots, WhatGoesWrongIsSaidAndNothingIsLeft) {
  FakeApi api;
  api.on("GET /v1/report", protocol::to_json(report_of({"vision"})));
  const test::TemporaryFolder folder;
  const std::string file = folder.path() + "/x.png";
  Ran ran = run(api, {"report", "--plots", folder.path() + "/x.pdf"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_EQ(
      ran.err,
      "error: --plots: \"" + folder.path() +
          "/x.pdf\" is neither a folder nor a picture that can be drawn; end it in .png or .svg, or name a folder\n");
  EXPECT_EQ(run(api, {"report", "--plots", file, "--csv"}).err,
            "error: --plots: can't be combined with --csv; give one of them\n");
  ran = run(api, {"report", "--plots", folder.path() + "/no/x.png"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("/no: No such file or directory; give a folder that you may write"), std::string::npos)
      << ran.err;
  {
    const Path nowhere(folder.path());
    ran = run(api, {"report", "--plots", file});
    EXPECT_EQ(ran.code, 1);
    EXPECT_EQ(ran.err,
              "error: --plots: there is no gnuplot, which draws the pictures; run 'apt-get install gnuplot-nox'\n");
  }
  {
    // A gnuplot of a build without the terminal, as it says so.
    const std::string programs = folder.path() + "/bin";
    fs::create_directory(programs);
    std::ofstream(programs + "/gnuplot") << "#!/bin/sh\nprintf '\\n%s\\n  ^\\n\"/dev/stdin\" line 2: unknown or "
                                            "ambiguous terminal name\\n' \"set terminal\" >&2\nexit 1\n";
    fs::permissions(programs + "/gnuplot", fs::perms::owner_all);
    const Path path(programs);
    ran = run(api, {"report", "--plots", file});
    EXPECT_EQ(ran.code, 1);
    EXPECT_EQ(ran.err, "error: --plots: gnuplot failed: \"/dev/stdin\" line 2: unknown or ambiguous terminal name\n");
    fs::remove_all(programs);
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
  api.on("GET /v1/report", protocol::to_json(report_of({})));
  EXPECT_EQ(run(api, {"report", "--plots", file}).err, "error: --plots: the report has no accounts to draw\n");
}

TEST(ChildProgram, GivesInputAndTakesWhatIsSaid) {
  const std::string much(1'000'000, 'x');
  auto end = run_program({"cat"}, much);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->out, much) << "more than a pipe holds";
  end = run_program({"sh", "-c", "pwd; echo oops >&2; exit 3"}, "", "/");
  EXPECT_EQ(end->out, "/\n");
  EXPECT_EQ(end->err, "oops\n");
  EXPECT_EQ(end->code, 3);
  end = run_program({"sh", "-c", "kill -9 $$"}, "");
  EXPECT_EQ(end->signal, 9);
  EXPECT_FALSE(run_program({"no-such-program-here"}, ""));
}

}  // namespace
}  // namespace ultramarine::cli
