#include "scheduler/cli/verbs/report_plots.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "scheduler/cli/child_program.h"
#include "scheduler/cli/command_error.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/money.h"
#include "scheduler/cli/words.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::cli {
namespace {

namespace fs = std::filesystem;
using protocol::ReportView;

// Colours that people tell apart who see some colours alike (Okabe and Ito, "Color Universal Design", 2008).
constexpr const char* blue = "#0072b2";
constexpr const char* orange = "#e69f00";
constexpr const char* vermilion = "#d55e00";
constexpr const char* grey = "#bbbbbb";

constexpr double ms_of_an_hour = 3'600'000;

/// A series of what `value` and `words` say of each account.
template <class Value, class Words>
ChartSeries series_of(const ReportView& report, const std::string& name, const char* colour, Value value, Words words) {
  ChartSeries series{.name = name, .colour = colour, .values = {}, .texts = {}};
  for (const AccountReport& row : report.accounts) {
    const auto one = value(row);
    series.values.push_back(one);
    series.texts.push_back(one ? words(row) : "");
  }
  return series;
}

BarChart empty_chart(const ReportView& report, const std::string& title, const std::string& axis) {
  BarChart chart{.title = title, .axis = axis, .rows = {}, .series = {}, .stacked = false, .totals = {}};
  for (const AccountReport& row : report.accounts) chart.rows.push_back(row.account);
  return chart;
}

using BarValue = std::optional<double>;

BarChart chart_of_shares(const ReportView& report) {
  BarChart chart = empty_chart(report, spoken("Used and entitled shares, {0}", report.month),
                               spoken("% of what was used, with the accounts underneath"));
  chart.series.push_back(series_of(
      report, spoken("used"), blue,
      [](const AccountReport& row) { return BarValue(static_cast<double>(row.used_share_permille) / 10); },
      [](const AccountReport& row) { return percent(row.used_share_permille); }));
  chart.series.push_back(series_of(
      report, spoken("entitled"), grey,
      [](const AccountReport& row) {
        return row.entitled_share_permille ? BarValue(static_cast<double>(*row.entitled_share_permille) / 10)
                                           : BarValue();
      },
      [](const AccountReport& row) { return percent(*row.entitled_share_permille); }));
  return chart;
}

BarChart chart_of_hours(const ReportView& report) {
  BarChart chart = empty_chart(report, spoken("GPU-hours used and wasted, {0}", report.month), spoken("GPU-hours"));
  chart.stacked = true;
  const auto add = [&](const std::string& name, const char* colour, auto gpu_ms) {
    chart.series.push_back(series_of(
        report, name, colour,
        [&](const AccountReport& row) { return BarValue(static_cast<double>(gpu_ms(row)) / ms_of_an_hour); },
        [&](const AccountReport& row) { return gpu_hours(gpu_ms(row)); }));
  };
  add(spoken("useful"), blue, [](const AccountReport& row) {
    return std::max<std::int64_t>(row.used_gpu_ms - row.failed_gpu_ms - row.idle_gpu_ms, 0);
  });
  add(spoken("failed"), vermilion, [](const AccountReport& row) { return row.failed_gpu_ms; });
  add(spoken("idle"), orange, [](const AccountReport& row) { return row.idle_gpu_ms; });
  for (const AccountReport& row : report.accounts) chart.totals.push_back(gpu_hours(row.used_gpu_ms));
  return chart;
}

BarChart chart_of_cost(const ReportView& report) {
  BarChart chart =
      empty_chart(report, spoken("Cost, and what the cloud would ask, {0}", report.month), report.currency);
  const auto add = [&](const std::string& name, const char* colour, std::int64_t AccountReport::*milli) {
    chart.series.push_back(series_of(
        report, name, colour,
        [milli](const AccountReport& row) { return BarValue(static_cast<double>(row.*milli) / 1000); },
        [milli](const AccountReport& row) { return amount(row.*milli); }));
  };
  if (report.price_per_gpu_hour_milli > 0) add(spoken("cost"), blue, &AccountReport::cost_milli);
  if (report.cloud_price_per_gpu_hour_milli > 0) add(spoken("cloud"), grey, &AccountReport::cloud_milli);
  return chart;
}

BarChart chart_of_waits(const ReportView& report) {
  Duration longest;
  for (const AccountReport& row : report.accounts) longest = std::max(longest, row.median_wait_ms.value_or(Duration{}));
  const Duration unit = longest >= hours(2) ? hours(1) : longest >= minutes(2) ? minutes(1) : seconds(1);
  const std::string axis = unit == hours(1)     ? spoken("hours")
                           : unit == minutes(1) ? spoken("minutes")
                                                : spoken("seconds");
  BarChart chart = empty_chart(report, spoken("Median wait until the first start, {0}", report.month), axis);
  chart.series.push_back(series_of(
      report, spoken("median wait"), blue,
      [&](const AccountReport& row) {
        return row.median_wait_ms ? BarValue(static_cast<double>(row.median_wait_ms->ms) / static_cast<double>(unit.ms))
                                  : BarValue();
      },
      [](const AccountReport& row) { return protocol::format_duration({row.median_wait_ms->ms / 1000 * 1000}); }));
  return chart;
}

[[noreturn]] void cant_write(const std::string& path, const std::string& why) {
  throw CommandError(exit_code::failure, error_line("--plots", spoken("can't write {0}", path) + ": " + heard(why),
                                                    spoken("give a folder that you may write")));
}

/// Beside the pictures-to-be, so that they can be moved there in one step; removed with what is left in it.
class DrawingFolder {
 public:
  explicit DrawingFolder(const fs::path& beside) : path_((beside / ".ultra-plots-XXXXXX").string()) {
    if (!mkdtemp(path_.data())) cant_write(beside.string(), std::strerror(errno));
  }
  ~DrawingFolder() {
    std::error_code error;
    fs::remove_all(path_, error);
  }
  DrawingFolder(const DrawingFolder&) = delete;
  DrawingFolder& operator=(const DrawingFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string text_of(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

/// The first words of gnuplot's that say what is wrong: it repeats the command and points at a column before.
std::string complaint_of(const ProgramEnd& end) {
  std::istringstream lines(end.err);
  std::string found;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t from = line.find_first_not_of(" \t^");
    if (from != std::string::npos) found = line.substr(from);
  }
  return !found.empty() ? found : end.signal != 0 ? ending(0, end.signal) : ending(end.code, 0);
}

/// A picture, drawn in the folder. Throws CommandError.
void draw(const std::vector<BarChart>& charts, const std::string& title, PictureFormat format, const std::string& name,
          const DrawingFolder& folder, const Interrupt& interrupt) {
  const auto end = run_program({"gnuplot", "-d", "/dev/stdin"}, gnuplot_script(charts, title, format, name),
                               folder.path(), &interrupt);
  if (!end)
    throw CommandError(exit_code::failure,
                       error_line("--plots", spoken("there is no gnuplot, which draws the pictures"),
                                  spoken("run {0}", "'apt-get install gnuplot-nox'")));
  const fs::path file = fs::path(folder.path()) / name;
  std::error_code error;
  if (end->code != 0 || end->signal != 0 || !fs::exists(file, error) || fs::file_size(file, error) == 0)
    throw CommandError(exit_code::failure,
                       error_line("--plots", spoken("gnuplot failed") + ": " + printable(complaint_of(*end)), ""));
  if (format == PictureFormat::png) return;
  const std::string svg = with_svg_titles(text_of(file), charts, title);
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out << svg;
  out.close();
  if (!out) cant_write(file.string(), std::strerror(errno));
}

std::optional<PictureFormat> format_of(const fs::path& path) {
  std::string ending = path.extension().string();
  for (char& letter : ending) letter = static_cast<char>(letter >= 'A' && letter <= 'Z' ? letter - 'A' + 'a' : letter);
  if (ending == ".png") return PictureFormat::png;
  if (ending == ".svg") return PictureFormat::svg;
  return std::nullopt;
}

void move_to(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) cant_write(to.string(), error.message());
}

}  // namespace

std::vector<std::pair<std::string, BarChart>> charts_of(const ReportView& report) {
  std::vector<std::pair<std::string, BarChart>> charts;
  charts.emplace_back("shares", chart_of_shares(report));
  charts.emplace_back("gpu-hours", chart_of_hours(report));
  if (BarChart cost = chart_of_cost(report); !cost.series.empty()) charts.emplace_back("cost", std::move(cost));
  const bool waited = std::any_of(report.accounts.begin(), report.accounts.end(),
                                  [](const AccountReport& row) { return row.median_wait_ms.has_value(); });
  if (waited) charts.emplace_back("waits", chart_of_waits(report));
  return charts;
}

std::vector<std::string> draw_report(const ReportView& report, const std::string& path) {
  if (report.accounts.empty())
    throw CommandError(exit_code::failure, error_line("--plots", spoken("the report has no accounts to draw"), ""));
  const auto charts = charts_of(report);
  const auto format = format_of(path);
  std::error_code error;
  const bool is_folder = fs::is_directory(path, error);
  if (path.empty() || (!format && !is_folder && fs::path(path).has_extension()))
    usage_error("--plots", spoken("\"{0}\" is neither a folder nor a picture that can be drawn", path),
                spoken("end it in .png or .svg, or name a folder"));
  if (format && is_folder) usage_error("--plots", spoken("{0} is a folder", path), spoken("choose another name"));
  const Interrupt interrupt;  // what is half drawn is taken away
  const std::string title = spoken("Report of {0}", report.month);
  if (format) {
    const fs::path parent = fs::path(path).has_parent_path() ? fs::path(path).parent_path() : fs::path(".");
    const DrawingFolder folder(parent);
    std::vector<BarChart> all;
    for (const auto& [name, chart] : charts) all.push_back(chart);
    draw(all, title, *format, "picture", folder, interrupt);
    move_to(fs::path(folder.path()) / "picture", path);
    return {path};
  }
  fs::create_directories(path, error);
  if (error) cant_write(path, error.message());
  const DrawingFolder folder(path);
  std::vector<std::string> names;
  for (const auto& [name, chart] : charts) {
    for (const auto& [ending, kind] : {std::pair(".png", PictureFormat::png), std::pair(".svg", PictureFormat::svg)}) {
      names.push_back(name + ending);
      draw({chart}, chart.title, kind, names.back(), folder, interrupt);
    }
  }
  std::vector<std::string> files;
  for (const std::string& name : names) {
    files.push_back((fs::path(path) / name).string());
    move_to(fs::path(folder.path()) / name, files.back());
  }
  return files;
}

}  // namespace ultramarine::cli
