// See charts.h.
#include "scheduler/simulator/charts.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace ultramarine::simulator {
namespace {

constexpr std::int64_t points = 400;  // of a line: more can't be seen

/// An apostrophe becomes a typographic one: gnuplot 5.4 ends a string at its first doubled one and takes the rest for commands.
std::string quoted_for_gnuplot(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("’") : std::string(1, static_cast<unsigned char>(c) < 0x20 ? '?' : c);
  return quoted + "'";
}

std::string quoted_for_shell(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string block(char chart, std::size_t index) { return std::string("$") + chart + std::to_string(index); }

/// Waits at every fourth of a percent: seconds (at least 1, the axis is logarithmic) and the share of jobs that waited no longer.
void write_waits(std::ostream& out, const Trace& trace, const Replay& replay) {
  std::vector<double> waits;
  for (const JobOutcome& job : replay.jobs)
    if (job.end) waits.push_back(wait_s(trace.jobs[job.row], job));
  std::sort(waits.begin(), waits.end());
  const auto count = static_cast<std::int64_t>(waits.size());
  for (std::int64_t point = 1; point <= points && count > 0; ++point) {
    const std::int64_t rank = std::max<std::int64_t>((count * point + points - 1) / points, 1);
    out << std::max(waits[static_cast<std::size_t>(rank - 1)], 1.0) << ' ' << 100.0 * static_cast<double>(rank) / static_cast<double>(count) << '\n';
  }
}

/// Mean GPUs in use over equal stretches of time: days since the start and percent of the cluster.
void write_utilization(std::ostream& out, const Replay& replay) {
  const std::vector<Load>& load = replay.load;
  if (load.size() < 2) return;
  const std::int64_t start = load.front().at.ms, span = std::max<std::int64_t>(load.back().at.ms - start, 1);
  std::size_t index = 0;
  for (std::int64_t point = 0; point < points; ++point) {
    const std::int64_t from = start + span * point / points, to = start + span * (point + 1) / points;
    if (from == to) continue;
    double held = 0;
    for (std::int64_t at = from; at < to;) {
      while (index + 1 < load.size() && load[index + 1].at.ms <= at) ++index;
      const std::int64_t next = index + 1 < load.size() ? std::min(load[index + 1].at.ms, to) : to;
      held += static_cast<double>(load[index].gpus) * static_cast<double>(next - at);
      at = next;
    }
    const double percent = 100 * held / static_cast<double>(to - from) / static_cast<double>(replay.cluster_gpus);
    out << static_cast<double>((from + to) / 2 - start) / 86'400'000 << ' ' << percent << '\n';
  }
}

void plot_lines(std::ostream& out, char chart, const std::vector<Result>& results) {
  out << "plot ";
  for (std::size_t index = 0; index < results.size(); ++index) {
    out << (index == 0 ? "" : ", ") << block(chart, index) << " using 1:2 with lines linewidth 2 linetype " << index + 1 << " title "
        << quoted_for_gnuplot(results[index].summary.policy);
  }
  out << '\n';
}

}  // namespace

bool can_draw() {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::error_code error;
    if (std::filesystem::is_regular_file(std::filesystem::path(folder) / "gnuplot", error)) return true;
  }
  return false;
}

std::string chart_script(const Setting& setting, const Trace& trace, const std::vector<Result>& results) {
  std::ostringstream out;
  out << "# Drawn by: gnuplot charts.gnuplot\n";
  for (std::size_t index = 0; index < results.size(); ++index) {
    out << block('w', index) << " << EOD\n";
    write_waits(out, trace, results[index].replay);
    out << "EOD\n" << block('u', index) << " << EOD\n";
    write_utilization(out, results[index].replay);
    out << "EOD\n";
  }
  out << "$s << EOD\n";
  for (const SizeBounds& bounds : size_classes()) {
    std::string row = std::string("\"") + bounds.gpus + '"';
    bool any = false;
    for (const Result& result : results) {
      const auto& sizes = result.summary.sizes;
      const auto size = std::find_if(sizes.begin(), sizes.end(), [&](const SizeClass& candidate) { return candidate.gpus == bounds.gpus; });
      any = any || size != sizes.end();
      row += size == sizes.end() ? " NaN" : " " + std::to_string(size->bounded_slowdown.mean);
    }
    if (any) out << row << '\n';
  }
  out << "EOD\n"
      << "set encoding utf8\nset colorsequence podo\nset border 3\nset tics nomirror\nset grid ytics linecolor '#dddddd' linetype 1\n"
      << "set key outside right top vertical noenhanced\nset title noenhanced\n";
  const std::string where = setting.trace + " on " + std::to_string(setting.cluster_gpus) + " GPUs (" + setting.cluster + ", estimate: " + setting.estimate + ")";
  for (const char* ending : {"png", "svg"}) {
    out << (std::string(ending) == "png" ? "set terminal pngcairo size 1000,600 noenhanced\n" : "set terminal svg size 1000,600 noenhanced background 'white'\n");
    out << "set output 'waits." << ending << "'\nset title " << quoted_for_gnuplot("How long jobs wait: " + where) << "\n"
        << "set logscale x\nset xrange [1:*]\nset xtics ('1 s' 1, '10 s' 10, '1 min' 60, '10 min' 600, '1 h' 3600, '6 h' 21600, '1 d' 86400, '7 d' 604800, '30 d' 2592000)\n"
        << "set xlabel 'wait'\nset yrange [0:100]\nset ylabel 'jobs that waited no longer (%)'\n";
    plot_lines(out, 'w', results);
    out << "unset logscale x\nset xrange [0:*]\nset xtics autofreq\n"
        << "set output 'utilization." << ending << "'\nset title " << quoted_for_gnuplot("GPUs that run jobs: " + where) << "\n"
        << "set xlabel 'days since the first job'\nset yrange [0:100]\nset ylabel 'utilization (%)'\n";
    plot_lines(out, 'u', results);
    out << "set output 'slowdown." << ending << "'\nset title " << quoted_for_gnuplot("Mean bounded slowdown by size: " + where) << "\n"
        << "set style data histograms\nset style fill solid 0.8 border -1\nset boxwidth 0.9\nset xrange [-0.6:*]\nset xlabel 'GPUs of the job'\n"
        << "set logscale y\nset yrange [1:*]\nset ylabel 'bounded slowdown'\nplot ";
    for (std::size_t index = 0; index < results.size(); ++index)
      out << (index == 0 ? "" : ", ") << "$s using " << index + 2 << ":xtic(1) linetype " << index + 1 << " title "
          << quoted_for_gnuplot(results[index].summary.policy);
    out << "\nunset logscale y\nset output\n";
  }
  return out.str();
}

void draw_charts(const std::string& folder, const std::string& script) {
  const std::filesystem::path said = std::filesystem::path(folder) / "charts.said";
  std::ofstream file(std::filesystem::path(folder) / "charts.gnuplot", std::ios::trunc);
  file << script;
  file.close();
  if (!file) throw std::runtime_error(folder + "/charts.gnuplot: can't write it");
  const std::string command = "cd " + quoted_for_shell(folder) + " && exec gnuplot charts.gnuplot >charts.said 2>&1 </dev/null";
  const int status = std::system(command.c_str());
  std::ostringstream words;
  words << std::ifstream(said).rdbuf();
  std::error_code error;
  std::filesystem::remove(said, error);
  if (status != 0) throw std::runtime_error("gnuplot: " + words.str());
}

}  // namespace ultramarine::simulator
