// Bar charts as scripts for gnuplot, whatever the names in them are: text only ever stands where gnuplot reads it as
// text. Knows nothing of reports; the script is run by verbs/report_plots.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace ultramarine::cli {

/// One bar for each row; `values` and `texts` are as long as the rows of its chart.
struct ChartSeries {
  std::string name, colour;                   // colour: #rrggbb
  std::vector<std::optional<double>> values;  // at least 0; absent: no bar
  std::vector<std::string> texts;             // the values in words
};

/// Horizontal bars, the first row on top.
struct BarChart {
  std::string title, axis;
  std::vector<std::string> rows;
  std::vector<ChartSeries> series;
  bool stacked = false;             // the series of a row one after the other, else one below the other
  std::vector<std::string> totals;  // stacked: in words, of each row
};

enum class PictureFormat { png, svg };

/// As a string of gnuplot in single quotes: nothing in it is a command, a macro, an escape or a format. What is no text
/// becomes "?", and an apostrophe a typographic one: gnuplot 5.4 ends a string at its first doubled one and takes the
/// rest for commands.
std::string gnuplot_quoted(const std::string& text);

/// Draws the charts into one picture with this name in the working folder: one, or two side by side and more below,
/// under `title`.
std::string gnuplot_script(const std::vector<BarChart>& charts, const std::string& title, PictureFormat format,
                           const std::string& file);

/// gnuplot's SVG with words where it has numbers: the picture's title, and for each bar "row, series: text", which
/// browsers show under the pointer.
std::string with_svg_titles(const std::string& svg, const std::vector<BarChart>& charts, const std::string& title);

}  // namespace ultramarine::cli
