#include "scheduler/cli/gnuplot.h"

#include <fmt/format.h>

#include <algorithm>

#include "scheduler/cli/text_width.h"

namespace ultramarine::cli {
namespace {

constexpr std::size_t row_name_most = 28;  // columns
constexpr int chart_width = 1200, sheet_width = 1800, sheet_head = 40, least_height = 480, row_height = 24,
              frame_height = 150;
constexpr const char* drawn_as = "with boxxyerror fillstyle solid 1 noborder";

int height_of(const BarChart& chart) {
  const std::size_t bars = chart.rows.size() * (chart.stacked ? 1 : std::max<std::size_t>(chart.series.size(), 1));
  return std::max(least_height, frame_height + row_height * static_cast<int>(bars + chart.rows.size() / 2));
}

std::string row_name(const std::string& name) { return clipped(printable(name), row_name_most); }

/// The bars of a chart in the order in which they are drawn.
struct DrawnBar {
  std::size_t row, series;
  double from, to, bottom, top;
};

std::vector<DrawnBar> bars_of_chart(const BarChart& chart) {
  std::vector<DrawnBar> bars;
  std::vector<double> ends(chart.rows.size(), 0);
  const double height =
      0.8 / (chart.stacked ? 1.0 : static_cast<double>(std::max<std::size_t>(chart.series.size(), 1)));
  for (std::size_t s = 0; s < chart.series.size(); ++s) {
    for (std::size_t r = 0; r < chart.rows.size(); ++r) {
      const auto& value = chart.series[s].values[r];
      if (!value) continue;
      const double top = 0.4 - static_cast<double>(r) - (chart.stacked ? 0.0 : height * static_cast<double>(s));
      const double from = chart.stacked ? ends[r] : 0;
      ends[r] = from + *value;
      bars.push_back({r, s, from, from + *value, top - height * 0.92, top});
    }
  }
  return bars;
}

void write_chart(std::string& script, const BarChart& chart, std::size_t number) {
  const std::vector<DrawnBar> bars = bars_of_chart(chart);
  const std::string block = fmt::format("$chart{}", number);
  double most = 0;
  script += block + " << EOD\n";
  for (const DrawnBar& bar : bars) {
    most = std::max(most, bar.to);
    script += fmt::format("{:.6f} {:.4f} {:.6f} {:.6f} {:.4f} {:.4f}\n", bar.to, (bar.bottom + bar.top) / 2, bar.from,
                          bar.to, bar.bottom, bar.top);
  }
  script += "EOD\nunset label\n";
  std::size_t widest = 0;
  for (std::size_t r = 0; r < chart.rows.size(); ++r) {
    const std::string name = row_name(chart.rows[r]);
    widest = std::max(widest, display_width(name));
    script += fmt::format("set label {} at graph 0, first {} right offset -1,0\n", gnuplot_quoted(name),
                          -static_cast<int>(r));
  }
  for (const DrawnBar& bar : bars) {
    const bool last = bar.series + 1 == chart.series.size();
    if (chart.stacked && !last) continue;
    const std::string& words = chart.stacked ? chart.totals[bar.row] : chart.series[bar.series].texts[bar.row];
    script += fmt::format("set label {} at first {:.6f}, first {:.4f} left offset 0.6,0 textcolor rgb '#444444'\n",
                          gnuplot_quoted(words), bar.to, (bar.bottom + bar.top) / 2);
  }
  script += fmt::format("set title {}\nset xlabel {}\nset lmargin {}\nset xrange [0:{:.6f}]\nset yrange [{:.1f}:0.7]\n",
                        gnuplot_quoted(chart.title), gnuplot_quoted(chart.axis), widest + 3,
                        most > 0 ? most * 1.25 : 1.0, 0.3 - static_cast<double>(chart.rows.size()));
  script += most >= 10 ? "set format x '%.0f'\n" : "set format x '%g'\n";
  script += chart.series.size() > 1 ? "set key\n" : "unset key\n";
  script += "plot ";
  for (std::size_t i = 0; i < bars.size(); ++i) {
    const ChartSeries& series = chart.series[bars[i].series];
    const bool first = i == 0 || bars[i - 1].series != bars[i].series;
    script += fmt::format("{}{} every ::{}::{} using 1:2:3:4:5:6 {} linecolor rgb {} ", i == 0 ? "" : ", ", block, i, i,
                          drawn_as, gnuplot_quoted(series.colour));
    script += first ? "title " + gnuplot_quoted(series.name) : "notitle";
  }
  script += bars.empty() ? "NaN notitle\n" : "\n";
}

std::string xml_text(const std::string& text) {
  std::string safe;
  for (const char c : printable(text))
    safe += c == '&' ? std::string("&amp;") : c == '<' ? "&lt;" : c == '>' ? "&gt;" : std::string(1, c);
  return safe;
}

}  // namespace

std::string gnuplot_quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : printable(text)) quoted += c == '\'' ? std::string("’") : std::string(1, c);
  return quoted + "'";
}

std::string gnuplot_script(const std::vector<BarChart>& charts, const std::string& title, PictureFormat format,
                           const std::string& file) {
  const std::size_t across = charts.size() > 1 ? 2 : 1, down = (charts.size() + across - 1) / across;
  int height = 0;
  for (const BarChart& chart : charts) height = std::max(height, height_of(chart));
  const std::string size = fmt::format("size {},{} noenhanced", across > 1 ? sheet_width : chart_width,
                                       height * static_cast<int>(down) + (across > 1 ? sheet_head : 0));
  // Families that have no Hangul are no obstacle: fontconfig and browsers take it from those that have.
  std::string script = "set encoding utf8\n";
  script += format == PictureFormat::png ? "set terminal pngcairo " + size + " font 'Sans,13'\n"
                                         : "set terminal svg " + size + " font 'sans-serif,15' background 'white'\n";
  script += "set output " + gnuplot_quoted(file) + "\n";
  script +=
      "set border 1 linecolor '#888888'\nunset ytics\nset xtics nomirror\nset decimalsign '.'\nset grid xtics "
      "linecolor '#dddddd' linetype 1\n"
      "set key tmargin right horizontal\nset rmargin 3\n";
  if (charts.size() > 1)
    script += fmt::format("set multiplot layout {},{} title {}\n", down, across, gnuplot_quoted(title));
  for (std::size_t i = 0; i < charts.size(); ++i) write_chart(script, charts[i], i);
  if (charts.size() > 1) script += "unset multiplot\n";
  return script + "unset output\n";
}

std::string with_svg_titles(const std::string& svg, const std::vector<BarChart>& charts, const std::string& title) {
  std::vector<std::string> titles;
  for (const BarChart& chart : charts) {
    for (const DrawnBar& bar : bars_of_chart(chart)) {
      const ChartSeries& series = chart.series[bar.series];
      titles.push_back(fmt::format("{}, {}: {}", chart.rows[bar.row], series.name, series.texts[bar.row]));
    }
  }
  static constexpr std::string_view whole = "<title>Gnuplot</title>", part = "<title>gnuplot_plot_", end = "</title>";
  std::string text;
  std::size_t from = 0, bar = 0;
  for (std::size_t at = svg.find("<title>"); at != std::string::npos; at = svg.find("<title>", at + 1)) {
    const bool is_whole = svg.compare(at, whole.size(), whole) == 0, is_part = svg.compare(at, part.size(), part) == 0;
    if (!is_whole && !is_part) continue;
    const std::size_t after = svg.find(end, at) + end.size();
    const std::string words = is_whole ? title : bar < titles.size() ? titles[bar++] : "";
    text += svg.substr(from, at - from) + "<title>" + xml_text(words) + "</title>";
    from = after;
  }
  return text + svg.substr(from);
}

}  // namespace ultramarine::cli
