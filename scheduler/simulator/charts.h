// Charts of replays, drawn by gnuplot: each as PNG and SVG. The script with all data stays beside them, so that anybody can draw them anew.
#pragma once

#include <string>
#include <vector>

#include "scheduler/simulator/report.h"

namespace ultramarine::simulator {

/// Names of the charts' files, without ending.
inline const std::vector<std::string> chart_names{"waits", "utilization", "slowdown"};

/// Whether `gnuplot` is in the PATH.
bool can_draw();

/// The gnuplot script, self-contained: how long jobs waited (cumulative), GPUs in use over time, mean bounded slowdown by size.
std::string chart_script(const Setting& setting, const Trace& trace, const std::vector<Result>& results);

/// Writes charts.gnuplot into `folder` and runs it there. Throws std::runtime_error with what gnuplot said.
void draw_charts(const std::string& folder, const std::string& script);

}  // namespace ultramarine::simulator
