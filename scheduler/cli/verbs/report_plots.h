// ultra report --plots: the report as pictures.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "scheduler/cli/gnuplot.h"
#include "scheduler/protocol/report_messages.h"

namespace ultramarine::cli {

/// Charts of the report that there is something to draw for, each with the name of its file (without an ending):
/// shares, gpu-hours, cost, waits.
std::vector<std::pair<std::string, BarChart>> charts_of(const protocol::ReportView& report);

/// Draws them: into one picture where `path` ends in .png or .svg, else each as PNG and SVG into that folder, which is
/// made. What is there is replaced, whole or not at all. Returns the files. Throws CommandError: a name that is no
/// picture's, gnuplot that is missing or fails; and Interrupted.
std::vector<std::string> draw_report(const protocol::ReportView& report, const std::string& path);

}  // namespace ultramarine::cli
