// See report.h.
#include "scheduler/simulator/report.h"

#include <algorithm>
#include <cstdio>
#include <functional>

#include "scheduler/protocol/codec.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::simulator {
namespace {

constexpr std::size_t refusals_named = 5;

std::string rounded(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string length(double value_s) { return protocol::format_duration(seconds(static_cast<std::int64_t>(value_s + 0.5))); }
std::string ratio(double value) { return rounded(value, 2); }
std::string percent(double value) { return rounded(value * 100, 1) + " %"; }

/// "3, 2h 5m in all"
std::string slips_text(const SlipTotal& total) {
  return total.slips == 0 ? "0" : std::to_string(total.slips) + ", " + length(total.later_s) + " in all";
}

/// Whole seconds where it can, thousandths where it must.
std::string seconds_text(Time time) {
  if (time.ms % 1000 == 0) return std::to_string(time.ms / 1000);
  char text[64];
  std::snprintf(text, sizeof text, "%lld.%03lld", static_cast<long long>(time.ms / 1000), static_cast<long long>(time.ms % 1000));
  return text;
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

struct Row {
  std::string name, part;
  std::vector<std::string> values;
};

class Table {
 public:
  explicit Table(const std::vector<Result>& results) : results_(results) {
    row("", "", [](const Summary& summary) { return summary.policy; });
  }

  void row(const std::string& name, const std::string& part, const std::function<std::string(const Summary&)>& value) {
    rows_.push_back({name, part, {}});
    for (const Result& result : results_) rows_.back().values.push_back(value(result.summary));
  }

  void distribution(const std::string& name, Distribution Summary::*of, std::string (*shown)(double)) {
    const std::pair<const char*, double Distribution::*> parts[] = {
        {"mean", &Distribution::mean}, {"p50", &Distribution::p50}, {"p95", &Distribution::p95}, {"p99", &Distribution::p99}, {"max", &Distribution::max}};
    for (const auto& [part, member] : parts)
      row(part == parts[0].first ? name : "", part, [&, which = member](const Summary& summary) { return shown((summary.*of).*which); });
  }

  void by_size(const std::string& name, Distribution SizeClass::*of, std::string (*shown)(double)) {
    std::string heading = name;
    for (const SizeBounds& bounds : size_classes()) {
      const auto find = [&](const Summary& summary) {
        return std::find_if(summary.sizes.begin(), summary.sizes.end(), [&](const SizeClass& size) { return size.gpus == bounds.gpus; });
      };
      const bool any = std::any_of(results_.begin(), results_.end(), [&](const Result& result) { return find(result.summary) != result.summary.sizes.end(); });
      if (!any) continue;
      row(heading, bounds.gpus, [&](const Summary& summary) { return find(summary) == summary.sizes.end() ? "-" : shown(((*find(summary)).*of).mean); });
      heading.clear();
    }
  }

  std::string text() const {
    std::size_t name_width = 0, part_width = 0;
    std::vector<std::size_t> widths(results_.size(), 0);
    for (const Row& row : rows_) {
      name_width = std::max(name_width, row.name.size());
      part_width = std::max(part_width, row.part.size());
      for (std::size_t column = 0; column < widths.size(); ++column) widths[column] = std::max(widths[column], row.values[column].size());
    }
    std::string text;
    for (const Row& row : rows_) {
      text += row.name + std::string(name_width - row.name.size() + 2, ' ') + row.part + std::string(part_width - row.part.size(), ' ');
      for (std::size_t column = 0; column < widths.size(); ++column) text += std::string(widths[column] - row.values[column].size() + 2, ' ') + row.values[column];
      text += '\n';
    }
    return text;
  }

 private:
  const std::vector<Result>& results_;
  std::vector<Row> rows_;
};

// ---- the JSON object, as described types

struct RefusedRow {
  std::string id, why;
};
BOOST_DESCRIBE_STRUCT(RefusedRow, (), (id, why))

struct Report {
  std::string trace, cluster, estimate;
  std::int64_t cluster_gpus = 0, rows = 0, bad_rows = 0;
  std::vector<RefusedRow> refused;
  std::vector<Summary> policies;
};
BOOST_DESCRIBE_STRUCT(Report, (), (trace, cluster, estimate, cluster_gpus, rows, bad_rows, refused, policies))

}  // namespace

std::string table_of(const Setting& setting, const std::vector<Result>& results) {
  Table table(results);
  const auto any = [&](const auto& holds) { return std::any_of(results.begin(), results.end(), [&](const Result& result) { return holds(result.summary); }); };
  table.distribution("wait", &Summary::wait_s, length);
  table.distribution("turnaround", &Summary::turnaround_s, length);
  table.distribution("bounded slowdown", &Summary::bounded_slowdown, ratio);
  table.row("makespan", "", [](const Summary& summary) { return length(summary.makespan_s); });
  table.row("utilization", "", [](const Summary& summary) { return percent(summary.utilization); });
  table.row("  while jobs arrive", "", [](const Summary& summary) { return percent(summary.utilization_while_jobs_arrive); });
  table.row("preemptions", "", [](const Summary& summary) { return std::to_string(summary.preemptions); });
  if (any([](const Summary& summary) { return summary.fairness.has_value(); }))
    table.row("fairness of accounts", "", [](const Summary& summary) { return summary.fairness ? rounded(*summary.fairness, 3) : "-"; });
  if (any([](const Summary& summary) { return summary.trials.has_value(); })) {
    const auto row = [&](const std::string& name, const std::string& part, const std::function<std::string(const Trials&)>& value) {
      table.row(name, part, [&](const Summary& summary) { return summary.trials ? value(*summary.trials) : "-"; });
    };
    row("trials", "", [](const Trials& trials) { return std::to_string(trials.trials); });
    row("jobs that failed early", "", [](const Trials& trials) { return std::to_string(trials.failed_early); });
    row("", "in trials", [](const Trials& trials) { return std::to_string(trials.failed_in_trial); });
    row("", "known, p50", [](const Trials& trials) { return length(trials.known_s.p50); });
    row("", "known, mean", [](const Trials& trials) { return length(trials.known_s.mean); });
    row("first output", "p50", [](const Trials& trials) { return length(trials.first_output_s.p50); });
    row("", "mean", [](const Trials& trials) { return length(trials.first_output_s.mean); });
    row("wait of the others", "mean", [](const Trials& trials) { return length(trials.wait_of_others_s.mean); });
    row("wasted GPU-hours", "", [](const Trials& trials) { return rounded(trials.wasted_gpu_h, 1); });
  }
  table.by_size("mean wait by GPUs", &SizeClass::wait_s, length);
  table.by_size("slowdown by GPUs", &SizeClass::bounded_slowdown, ratio);
  if (any([](const Summary& summary) { return summary.harm.has_value(); })) {
    std::string heading = "planned starts moved later";
    for (const auto& [cause, unused] : results.front().summary.slips) {
      if (!any([&](const Summary& summary) { return summary.slips.at(cause).slips > 0; })) continue;
      std::string words = cause;
      std::replace(words.begin(), words.end(), '_', ' ');
      table.row(heading, words, [&](const Summary& summary) { return slips_text(summary.slips.at(cause)); });
      heading.clear();
    }
    table.row("harm", "", [](const Summary& summary) { return slips_text(*summary.harm); });
  }
  if (any([](const Summary& summary) { return summary.never_ran > 0; }))
    table.row("jobs that never ran", "", [](const Summary& summary) { return std::to_string(summary.never_ran); });
  return "trace " + setting.trace + ": " + std::to_string(setting.rows) + " jobs; cluster " + setting.cluster + ": " + std::to_string(setting.cluster_gpus) +
         " GPUs; estimate: " + setting.estimate + "\n\n" + table.text();
}

std::string jobs_csv(const Trace& trace, const Replay& replay) {
  std::string text = "id,submit_s,first_start_s,end_s,gpus,nodes,attempts\n";
  for (const JobOutcome& job : replay.jobs) {
    const TraceJob& row = trace.jobs[job.row];
    text += csv_field(row.id) + "," + std::to_string(row.submit_s) + "," + (job.first_start ? seconds_text(*job.first_start) : "") + "," +
            (job.end ? seconds_text(*job.end) : "") + "," + std::to_string(row.gpus) + "," + std::to_string(job.nodes) + "," +
            std::to_string(job.attempts) + "\n";
  }
  return text;
}

std::string waits_csv(const Trace& trace, const Replay& replay) {
  std::string text = "id,account,gpus,cause,job,of_account,detail,wait_s\n";
  for (std::size_t index = 0; index < replay.waits.size(); ++index) {
    const TraceJob& row = trace.jobs[replay.jobs[index].row];
    for (const WaitPart& part : replay.waits[index]) {
      const std::string other = part.job.value == 0 ? "" : trace.jobs[replay.jobs[static_cast<std::size_t>(part.job.value - 1)].row].id;
      text += csv_field(row.id) + "," + csv_field(row.account) + "," + std::to_string(row.gpus) + "," + boost::describe::enum_to_string(part.cause, "") + "," +
              csv_field(other) + "," + csv_field(part.account) + "," + csv_field(part.detail) + "," + seconds_text(Time{part.time_ms.ms}) + "\n";
    }
  }
  return text;
}

std::string json_of(const Setting& setting, const Trace& trace, const std::vector<Result>& results) {
  Report report{setting.trace, setting.cluster, setting.estimate, setting.cluster_gpus, setting.rows, setting.bad_rows, {}, {}};
  if (!results.empty())
    for (const RefusedJob& refused : results.front().replay.refused) report.refused.push_back({trace.jobs[refused.row].id, refused.why});
  for (const Result& result : results) report.policies.push_back(result.summary);
  return protocol::to_json(report) + "\n";
}

std::string refusals_of(const Trace& trace, const Replay& replay) {
  const auto& refused = replay.refused;
  if (refused.empty()) return "";
  std::string text = std::to_string(refused.size()) + (refused.size() == 1 ? " job is" : " jobs are") + " not taken by this cluster and left out:";
  const char* separator = " ";
  for (std::size_t index = 0; index < std::min(refused.size(), refusals_named); ++index) {
    text += separator + trace.jobs[refused[index].row].id + " (" + refused[index].why + ")";
    separator = ", ";
  }
  if (refused.size() > refusals_named) text += " and " + std::to_string(refused.size() - refusals_named) + " more";
  return text;
}

}  // namespace ultramarine::simulator
