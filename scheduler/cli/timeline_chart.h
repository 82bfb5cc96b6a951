// A timeline as lines of text: labels, an axis with ticks, a bar for each stay. Knows widths and instants; no terminal,
// no I/O.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "scheduler/cli/timeline.h"

namespace ultramarine::cli {

struct ChartStyle {
  std::size_t columns = 100;
  bool utf8 = true;  // else nothing but ASCII is drawn (names stay as they are)
  bool colour = false;
};

/// [start, end)
struct ChartWindow {
  Time start, end;
};

/// First and last column.
struct ChartSpan {
  std::size_t first = 0, last = 0;
  bool operator==(const ChartSpan&) const = default;
};

/// The column of an instant among `width`, from 0; of those outside, the nearest. Monotone in time.
std::size_t column_of(Time time, const ChartWindow& window, std::size_t width);
/// The columns of [from, to): one at least; nullopt when it lies outside.
std::optional<ChartSpan> span_of(Time from, Time to, const ChartWindow& window, std::size_t width);

/// A labelled instant of the axis.
struct ChartTick {
  std::size_t column = 0;
  std::string label;  // 14:00; a date at midnight and where ticks are days apart
};
/// Ticks at round times of the zone's clocks, as close together as their labels allow.
std::vector<ChartTick> ticks_of(const ChartWindow& window, std::size_t width, const std::string& zone);

/// The GPUs of a node.
struct ChartNode {
  std::string name;
  std::int64_t gpus = 0;
};

/// A row for each job, then one for each reservation. Whole lines.
std::string chart_of_jobs(const Timeline& timeline, const std::vector<ChartNode>& nodes, const ChartStyle& style);
/// A row for each group of GPUs of a node that hold and are planned for the same; in each bar its job's number.
std::string chart_of_nodes(const Timeline& timeline, const std::vector<ChartNode>& nodes, const ChartStyle& style);
/// What the signs mean, on one line.
std::string chart_legend(const ChartStyle& style);

}  // namespace ultramarine::cli
