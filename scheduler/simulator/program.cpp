// See program.h.
#include "scheduler/simulator/program.h"

#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <stdexcept>

#include "scheduler/protocol/config.h"
#include "scheduler/simulator/charts.h"
#include "scheduler/simulator/report.h"

namespace ultramarine::simulator {
namespace {

constexpr int failure = 1, usage = 2;
constexpr std::size_t bar_width = 40;

void say(const std::string& line) { std::fprintf(stderr, "ultra-simulate: %s\n", line.c_str()); }

/// A bar on stderr while a policy runs, where that is a terminal.
class Bar {
 public:
  Bar(std::string policy, std::size_t jobs) : policy_(std::move(policy)), jobs_(jobs), is_terminal_(::isatty(STDERR_FILENO) == 1) {}
  ~Bar() {
    if (is_terminal_) std::fprintf(stderr, "\r\033[K");
  }
  Bar(const Bar&) = delete;
  Bar& operator=(const Bar&) = delete;

  void show(std::size_t ended) {
    if (!is_terminal_ || jobs_ == 0) return;
    const std::size_t percent = 100 * ended / jobs_;
    if (percent == shown_) return;
    shown_ = percent;
    const std::size_t filled = bar_width * percent / 100;
    std::fprintf(stderr, "\r%s [%s%s] %3zu %%", policy_.c_str(), std::string(filled, '#').c_str(), std::string(bar_width - filled, ' ').c_str(), percent);
    std::fflush(stderr);
  }

 private:
  const std::string policy_;
  const std::size_t jobs_;
  const bool is_terminal_;
  std::size_t shown_ = 101;
};

void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::trunc | std::ios::binary);
  file << text;
  file.close();
  if (!file) throw std::runtime_error("--out: can't write " + path.string() + ": " + std::strerror(errno) + " (name a folder that you may write)");
}

void make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!std::filesystem::is_directory(path)) throw std::runtime_error("--out: can't make the folder " + path + (error ? ": " + error.message() : "") + " (name another one)");
}

/// The policies, each by a name of its own that can be a file's name.
std::vector<PolicyConfig> load_policies(const std::vector<std::string>& names) {
  std::vector<PolicyConfig> policies;
  std::set<std::string> taken;
  for (const std::string& name : names.empty() ? std::vector<std::string>{"default"} : names) {
    PolicyConfig policy = protocol::load_policy(name);
    if (policy.name.empty() || policy.name.find('/') != std::string::npos) policy.name = std::filesystem::path(name).stem().string();
    const std::string base = policy.name;
    for (int copy = 2; !taken.insert(policy.name).second; ++copy) policy.name = base + "-" + std::to_string(copy);
    policies.push_back(std::move(policy));
  }
  return policies;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

Trace read_trace(const ProgramOptions& options) {
  Trace trace = load_trace(options.trace, options.format, options.skip_bad_rows ? BadRows::skipped : BadRows::refused);
  if (trace.bad_rows > 0) say("note: " + std::to_string(trace.bad_rows) + (trace.bad_rows == 1 ? " row was" : " rows were") + " left out; the first: " + trace.first_bad_row);
  if (!trace.unused_columns.empty()) say("note: columns that mean nothing here: " + joined(trace.unused_columns));
  if (trace.jobs.empty()) throw protocol::ConfigError(options.trace, "trace", "it has no jobs", "name a file with at least one row");
  if (options.jobs > 0 && trace.jobs.size() > static_cast<std::size_t>(options.jobs)) trace.jobs.resize(static_cast<std::size_t>(options.jobs));
  if (options.early_failures > 0) fail_early(trace, std::llround(options.early_failures * 1000), options.seed);
  if (options.estimate == "limit") {
    std::size_t without = 0;
    for (const TraceJob& job : trace.jobs) without += job.limit_s ? 0 : 1;
    if (without == trace.jobs.size()) throw protocol::ConfigError(options.trace, "limit_s", "no job has a time limit", "use --estimate true");
    if (without > 0) say("note: " + std::to_string(without) + " jobs have no time limit; for them the estimate is how long they run");
  }
  return trace;
}

int simulate(const ProgramOptions& options) {
  if (options.plots && options.out.empty()) {
    say("--plots: there is no folder to draw into (add --out DIR)");
    return usage;
  }
  if (options.waits && options.out.empty()) {
    say("--waits: there is no folder to write into (add --out DIR)");
    return usage;
  }
  if (options.plots && !can_draw()) {
    say("--plots: gnuplot is not there (install the package gnuplot-nox, or leave --plots out)");
    return failure;
  }
  const protocol::ClusterFile cluster = protocol::load_cluster_file(options.cluster);
  const std::vector<PolicyConfig> policies = load_policies(options.policies);
  const Trace trace = read_trace(options);
  const Estimate estimate = options.estimate == "limit" ? Estimate::limit : Estimate::truth;
  if (!options.out.empty()) make_folder(options.out);

  std::vector<Result> results;
  for (const PolicyConfig& policy : policies) {
    Bar bar(policy.name, trace.jobs.size());
    Replay replayed = replay(trace, cluster.cluster, policy, estimate, [&](std::size_t ended) { bar.show(ended); },
                             options.slips ? Slips::counted : Slips::ignored, options.waits ? Waits::kept : Waits::ignored);
    Summary summary = summarize(policy.name, trace, replayed);
    results.push_back({std::move(summary), std::move(replayed)});
  }

  const Replay& first = results.front().replay;
  for (const std::string& note : first.notes) say("note: " + note);
  if (const std::string refusals = refusals_of(trace, first); !refusals.empty()) say("note: " + refusals);
  const Setting setting{trace.name, cluster.cluster.name, options.estimate, first.cluster_gpus, static_cast<std::int64_t>(trace.jobs.size()), trace.bad_rows};
  const std::string json = json_of(setting, trace, results);
  if (!options.out.empty()) {
    const std::filesystem::path folder(options.out);
    for (const Result& result : results) write_file(folder / (result.summary.policy + ".csv"), jobs_csv(trace, result.replay));
    if (options.waits)
      for (const Result& result : results) write_file(folder / (result.summary.policy + "-waits.csv"), waits_csv(trace, result.replay));
    write_file(folder / "summary.json", json);
    if (options.plots) draw_charts(options.out, chart_script(setting, trace, results));
  }
  std::fputs((options.json ? json : table_of(setting, results)).c_str(), stdout);
  if (std::fflush(stdout) != 0) throw std::runtime_error(std::string("can't write the answer: ") + std::strerror(errno));
  return 0;
}

}  // namespace

int run_simulate(const ProgramOptions& options) {
  try {
    return simulate(options);
  } catch (const protocol::ConfigError& error) {
    say(error.what());
    return usage;
  } catch (const std::exception& error) {
    say(error.what());
    return failure;
  }
}

}  // namespace ultramarine::simulator
