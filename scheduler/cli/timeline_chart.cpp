#include "scheduler/cli/timeline_chart.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "scheduler/cli/language.h"
#include "scheduler/cli/terminal.h"
#include "scheduler/cli/zone_time.h"

namespace ultramarine::cli {
namespace {

/// One character of each, with and without block characters.
struct ChartSigns {
  const char *ended, *held, *rest, *planned, *reserved, *now, *axis, *tick, *now_on_axis, *later;
};
constexpr ChartSigns block_signs{"▒", "█", "▓", "░", "╳", "│", "─", "┴", "▼", "→"};
constexpr ChartSigns ascii_signs{":", "#", "=", "-", "x", "|", "_", "+", "v", ">"};
const ChartSigns& signs_of(const ChartStyle& style) { return style.utf8 ? block_signs : ascii_signs; }

/// clipped, where only ASCII may be added.
std::string cut(const std::string& text, std::size_t width, bool utf8) {
  std::string shown = clipped(text, width);
  static constexpr std::string_view dots = "…";
  if (!utf8 && display_width(text) > width && shown.ends_with(dots))
    shown.replace(shown.size() - dots.size(), dots.size(), "~");
  return shown;
}

/// A row of the chart while it is drawn: a sign and its colour in each column.
class ChartCanvas {
 public:
  explicit ChartCanvas(std::size_t width) : cells_(width, {" ", Tint::none}) {}

  void fill(const ChartSpan& span, const char* sign, Tint tint) {
    for (std::size_t column = span.first; column <= span.last && column < cells_.size(); ++column)
      cells_[column] = {sign, tint};
  }
  /// ASCII text over what is there.
  void write(std::size_t column, const std::string& text, Tint tint) {
    for (std::size_t i = 0; i < text.size() && column + i < cells_.size(); ++i)
      cells_[column + i] = {std::string(1, text[i]), tint};
  }
  void mark_where_blank(std::size_t column, const char* sign, Tint tint) {
    if (cells_[column].first == " ") cells_[column] = {sign, tint};
  }
  /// Without blanks at the end.
  std::string line(bool colour) const {
    std::size_t end = cells_.size();
    while (end > 0 && cells_[end - 1].first == " ") --end;
    std::string text;
    for (std::size_t from = 0; from < end;) {
      std::string same;
      std::size_t to = from;
      for (; to < end && cells_[to].second == cells_[from].second; ++to) same += cells_[to].first;
      text += tinted(same, cells_[from].second, colour);
      from = to;
    }
    return text;
  }

 private:
  std::vector<std::pair<std::string, Tint>> cells_;
};

/// What stands before the bars: columns as wide as their longest text.
class ChartLabels {
 public:
  struct Column {
    std::string title;
    bool right = false;
    std::size_t most = 0;  // columns; 0: as many as it takes
  };
  ChartLabels(std::vector<Column> columns, bool utf8) : columns_(std::move(columns)), utf8_(utf8) {}

  void add(std::vector<std::string> texts) { rows_.push_back(std::move(texts)); }
  /// Takes away columns from the end of `order` (indices) until they leave `room` for bars.
  void make_room(std::size_t columns, std::size_t room, const std::vector<std::size_t>& order) {
    for (const std::size_t gone : order) {
      if (width() + room <= columns) return;
      hidden_.insert(gone);
    }
  }
  std::size_t width() const {
    std::size_t sum = 0;
    for (std::size_t c = 0; c < columns_.size(); ++c) sum += hidden_.count(c) > 0 ? 0 : width_of(c) + 2;
    return sum;
  }
  std::string titles() const {
    std::vector<std::string> texts;
    for (const Column& column : columns_) texts.push_back(column.title);
    return line(texts);
  }
  std::string row(std::size_t index) const { return line(rows_[index]); }

 private:
  std::size_t width_of(std::size_t c) const {
    std::size_t width = display_width(columns_[c].title);
    for (const auto& row : rows_) width = std::max(width, display_width(row[c]));
    return columns_[c].most > 0 ? std::min(width, columns_[c].most) : width;
  }
  std::string line(const std::vector<std::string>& texts) const {
    std::string text;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      if (hidden_.count(c) > 0) continue;
      const std::string shown = cut(texts[c], width_of(c), utf8_), fill(width_of(c) - display_width(shown), ' ');
      text += (columns_[c].right ? fill + shown : shown + fill) + "  ";
    }
    return text;
  }

  std::vector<Column> columns_;
  const bool utf8_;
  std::vector<std::vector<std::string>> rows_;
  std::set<std::size_t> hidden_;
};

constexpr std::size_t least_chart = 24;  // columns of the bars

/// The chart's parts that all rows share.
struct ChartFrame {
  ChartFrame(const Timeline& timeline_, const ChartStyle& style_, std::size_t label_width)
      : timeline(timeline_),
        style(style_),
        signs(signs_of(style_)),
        window{timeline_.start_ms, timeline_.end_ms},
        width(std::max(least_chart, style_.columns > label_width ? style_.columns - label_width : 0)),
        now(column_of(timeline_.now_ms, window, width)) {}

  const Timeline& timeline;
  const ChartStyle& style;
  const ChartSigns& signs;
  const ChartWindow window;
  const std::size_t width, now;

  /// The labels of the ticks over the axis.
  std::string head(const std::string& titles) const {
    const auto ticks = ticks_of(window, width, timeline.time_zone);
    ChartCanvas labels(width), axis(width);
    axis.fill({0, width - 1}, signs.axis, Tint::dim);
    for (const ChartTick& tick : ticks) {
      labels.write(tick.column, tick.label, Tint::none);
      axis.fill({tick.column, tick.column}, signs.tick, Tint::dim);
    }
    axis.fill({now, now}, signs.now_on_axis, Tint::bold);
    const std::size_t label_width = display_width(titles);
    const std::string place =
        cut(printable(zone_time(timeline.now_ms, timeline.time_zone, "%Y-%m-%d") + " " + timeline.time_zone),
            label_width - 1, style.utf8);
    return padded(place, label_width) + labels.line(style.colour) + "\n" + tinted(titles, Tint::dim, style.colour) +
           axis.line(style.colour) + "\n";
  }

  void draw(ChartCanvas& canvas, const TimelineBar& bar, Tint tint) const {
    const auto span = span_of(bar.start_ms, bar.end_ms, window, width);
    if (!span) {
      if (bar.start_ms >= window.end) canvas.fill({width - 1, width - 1}, signs.later, tint);
      return;
    }
    if (bar.kind == BarKind::held) {
      canvas.fill(*span, signs.rest, tint);
      canvas.fill({span->first, std::max(span->first, std::min(span->last, now))}, signs.held, tint);
    } else {
      canvas.fill(*span, bar.kind == BarKind::ended ? signs.ended : signs.planned,
                  bar.kind == BarKind::ended ? Tint::dim : tint);
    }
  }

  void draw(ChartCanvas& canvas, const Reservation& one) const {
    if (const auto span = span_of(one.start_ms, one.end_ms, window, width))
      canvas.fill(*span, signs.reserved, Tint::red);
  }
};

/// Colours of accounts, as `ultra top` has them: by their place in the alphabet.
std::map<std::string, Tint> account_tints(const Timeline& timeline) {
  static constexpr std::array tints{Tint::green, Tint::cyan, Tint::yellow, Tint::magenta, Tint::blue, Tint::red};
  std::map<std::string, Tint> found;
  for (const TimelineJob& job : timeline.jobs) found.emplace(job.account, Tint::none);
  std::size_t number = 0;
  for (auto& [account, tint] : found) tint = tints[number++ % tints.size()];
  return found;
}

std::string for_whom(const Reservation& one) {
  std::string text;
  for (const std::string& account : one.accounts) text += (text.empty() ? "" : ",") + account;
  return text.empty() ? spoken("maintenance") : text;
}

std::int64_t gpus_of(const Reservation& one, const std::vector<ChartNode>& nodes) {
  std::int64_t sum = 0;
  for (const ChartNode& node : nodes)
    sum += std::find(one.nodes.begin(), one.nodes.end(), node.name) != one.nodes.end() ? node.gpus : 0;
  return sum;
}

/// A stay on some devices of a node, and whose it is.
struct DeviceBar {
  const TimelineJob* job;
  const TimelineBar* bar;
  bool operator==(const DeviceBar&) const = default;
};

/// For each device of the node, what it held, will hold and holds: where bars share a column, the later one of these is
/// seen.
std::vector<std::vector<DeviceBar>> devices_of(const ChartNode& node, const Timeline& timeline) {
  std::vector<std::vector<DeviceBar>> devices(static_cast<std::size_t>(std::max<std::int64_t>(node.gpus, 0)));
  for (const TimelineJob& job : timeline.jobs) {
    for (const TimelineBar& bar : job.bars) {
      if (bar.end_ms <= timeline.start_ms || bar.start_ms >= timeline.end_ms) continue;
      for (const NodeAllocation& part : bar.allocation) {
        if (part.node != node.name) continue;
        for (const std::int64_t device : part.devices)
          if (device >= 0 && device < node.gpus) devices[static_cast<std::size_t>(device)].push_back({&job, &bar});
      }
    }
  }
  const auto importance = [](const DeviceBar& one) {
    return one.bar->kind == BarKind::ended ? 0 : one.bar->kind == BarKind::planned ? 1 : 2;
  };
  for (auto& device : devices)
    std::stable_sort(device.begin(), device.end(),
                     [&](const DeviceBar& one, const DeviceBar& other) { return importance(one) < importance(other); });
  return devices;
}

}  // namespace

std::size_t column_of(Time time, const ChartWindow& window, std::size_t width) {
  const auto columns = static_cast<std::int64_t>(width);
  const std::int64_t column =
      (time - window.start).ms * columns / std::max<std::int64_t>((window.end - window.start).ms, 1);
  return static_cast<std::size_t>(std::clamp<std::int64_t>(time < window.start ? 0 : column, 0, columns - 1));
}

std::optional<ChartSpan> span_of(Time from, Time to, const ChartWindow& window, std::size_t width) {
  if (to <= window.start || from >= window.end || from >= to) return std::nullopt;
  return ChartSpan{column_of(from, window, width), column_of(to - milliseconds(1), window, width)};
}

std::vector<ChartTick> ticks_of(const ChartWindow& window, std::size_t width, const std::string& zone) {
  constexpr std::int64_t minute = 60'000, hour = 60 * minute, day = 24 * hour;
  static constexpr std::array steps{1'000L,     5'000L,      15'000L,     30'000L,     minute,  2 * minute,
                                    5 * minute, 10 * minute, 15 * minute, 30 * minute, hour,    2 * hour,
                                    3 * hour,   6 * hour,    12 * hour,   day,         2 * day, 4 * day,
                                    7 * day,    14 * day,    28 * day,    91 * day};
  const std::int64_t length = std::max<std::int64_t>((window.end - window.start).ms, 1);
  const auto columns = static_cast<std::int64_t>(width);
  std::int64_t step = steps.back();
  for (auto candidate = steps.rbegin(); candidate != steps.rend(); ++candidate) {
    const std::int64_t label = *candidate < minute ? 8 : 5;
    if (*candidate * columns / length >= label + 3) step = *candidate;
  }
  std::vector<ChartTick> ticks;
  for (const Time at : zone_marks(window.start, window.end, {step}, zone)) {
    std::string label = zone_time(at, zone, step < minute ? "%H:%M:%S" : "%H:%M");
    if (step >= day || label == "00:00" || label == "00:00:00") label = zone_time(at, zone, "%m-%d");
    const std::size_t column = column_of(at, window, width);
    const bool crowds =
        !ticks.empty() && column < ticks.back().column + ticks.back().label.size() + 1;  // where clocks are changed
    if (!crowds && column + label.size() <= width) ticks.push_back({column, std::move(label)});
  }
  return ticks;
}

std::string chart_of_jobs(const Timeline& timeline, const std::vector<ChartNode>& nodes, const ChartStyle& style) {
  ChartLabels labels({{spoken("JOB"), true, 0},
                      {spoken("NAME"), false, 20},
                      {spoken("ACCOUNT"), false, 16},
                      {spoken("GPUS"), true, 0}},
                     style.utf8);
  for (const TimelineJob& job : timeline.jobs)
    labels.add({job.job, job.name.empty() ? "-" : printable(job.name),
                job.account.empty() ? "-" : printable(job.account), std::to_string(job.gpus)});
  for (const Reservation& one : timeline.reservations)
    labels.add({"-", printable(one.name), printable(for_whom(one)), std::to_string(gpus_of(one, nodes))});
  labels.make_room(style.columns, least_chart, {2, 1, 3});
  const ChartFrame frame(timeline, style, labels.width());
  const auto tints = account_tints(timeline);
  std::string text = frame.head(labels.titles());
  std::size_t row = 0;
  const auto add_row = [&](const auto& draw_bars) {
    ChartCanvas canvas(frame.width);
    draw_bars(canvas);
    canvas.mark_where_blank(frame.now, frame.signs.now, Tint::dim);
    text += labels.row(row++) + canvas.line(style.colour) + "\n";
  };
  for (const TimelineJob& job : timeline.jobs) {
    add_row([&](ChartCanvas& canvas) {
      for (const TimelineBar& bar : job.bars) frame.draw(canvas, bar, tints.at(job.account));
    });
  }
  for (const Reservation& one : timeline.reservations) add_row([&](ChartCanvas& canvas) { frame.draw(canvas, one); });
  return text;
}

std::string chart_of_nodes(const Timeline& timeline, const std::vector<ChartNode>& nodes, const ChartStyle& style) {
  struct Row {
    const ChartNode* node;
    std::vector<DeviceBar> bars;
  };
  std::vector<Row> rows;
  ChartLabels labels({{spoken("NODE"), false, 20}, {spoken("GPUS"), true, 0}}, style.utf8);
  for (const ChartNode& node : nodes) {
    const auto devices = devices_of(node, timeline);
    for (std::size_t first = 0; first < devices.size();) {
      std::size_t last = first;
      while (last + 1 < devices.size() && devices[last + 1] == devices[first]) ++last;
      labels.add({first == 0 ? printable(node.name) : "",
                  std::to_string(first) + (last > first ? "-" + std::to_string(last) : "")});
      rows.push_back({&node, devices[first]});
      first = last + 1;
    }
  }
  labels.make_room(style.columns, least_chart, {1});
  const ChartFrame frame(timeline, style, labels.width());
  const auto tints = account_tints(timeline);
  std::string text = frame.head(labels.titles());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    ChartCanvas canvas(frame.width);
    for (const Reservation& one : timeline.reservations)
      if (std::find(one.nodes.begin(), one.nodes.end(), rows[i].node->name) != one.nodes.end()) frame.draw(canvas, one);
    for (const DeviceBar& part : rows[i].bars) frame.draw(canvas, *part.bar, tints.at(part.job->account));
    for (const DeviceBar& part : rows[i].bars) {
      const auto span = span_of(part.bar->start_ms, part.bar->end_ms, frame.window, frame.width);
      if (span && span->last - span->first > part.job->job.size())
        canvas.write(span->first + 1, part.job->job, tints.at(part.job->account));
    }
    canvas.mark_where_blank(frame.now, frame.signs.now, Tint::dim);
    text += labels.row(i) + canvas.line(style.colour) + "\n";
  }
  return text;
}

std::string chart_legend(const ChartStyle& style) {
  const ChartSigns& signs = signs_of(style);
  return spoken(
      "{0} held until now  {1} until its time limit  {2} planned  {3} ended  {4} kept by a reservation  {5} now  {6} "
      "later",
      signs.held, signs.rest, signs.planned, signs.ended, signs.reserved, signs.now_on_axis, signs.later);
}

}  // namespace ultramarine::cli
