// The Standard Workload Format, version 2.2: https://www.cs.huji.ac.il/labs/parallel/workload/swf.html
#include <array>

#include "scheduler/simulator/traces/rows.h"

namespace ultramarine::simulator {
namespace {

constexpr std::size_t field_count = 18;
// Places of the fields that are used, from 0.
enum Column : std::size_t { number = 0, submit = 1, runtime = 3, allocated = 4, requested = 7, requested_time = 8, user = 11, group = 12, queue = 14, partition = 15 };
constexpr const char* remedy = "complete the row, or leave such rows out by --skip-bad-rows";

bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::vector<Field> fields_between_blanks(std::string_view line) {
  std::vector<Field> fields;
  for (std::size_t at = 0; at < line.size();) {
    if (is_blank(line[at])) {
      ++at;
      continue;
    }
    const std::size_t first = at;
    while (at < line.size() && !is_blank(line[at])) ++at;
    fields.push_back({std::string(line.substr(first, at - first)), static_cast<std::int64_t>(first) + 1});
  }
  return fields;
}

TraceJob job_of(const std::vector<Field>& fields) {
  if (fields.size() < field_count)
    throw BadRow{fields.back().column, "", std::to_string(fields.size()) + " fields, a job has " + std::to_string(field_count), remedy};
  const auto value = [&](Column column, const char* name, std::int64_t high) { return whole_number(fields[column], name, -1, high); };
  const auto known = [&](Column column, const char* name, std::int64_t high, std::int64_t low) {
    const std::int64_t given = value(column, name, high);
    if (given < low) throw BadRow{fields[column].column, name, std::to_string(given) + ": it isn't known", remedy};
    return given;
  };
  const auto word = [&](Column column, const char* name) {
    const std::int64_t given = value(column, name, submit_s_max);
    return given < 0 ? std::string() : std::to_string(given);
  };
  TraceJob job;
  job.id = fields[number].text;
  job.submit_s = known(submit, "submit time (field 2)", submit_s_max, 0);
  job.runtime_s = known(runtime, "run time (field 4)", runtime_s_max, 0);
  const std::int64_t asked = value(requested, "requested processors (field 8)", gpus_max);
  job.gpus = asked > 0 ? asked : known(allocated, "allocated processors (field 5)", gpus_max, 1);
  const std::int64_t limit = value(requested_time, "requested time (field 9)", runtime_s_max);
  if (limit > 0) job.limit_s = limit;
  job.user = word(user, "user (field 12)");
  job.account = word(group, "group (field 13)");
  job.qos = word(queue, "queue (field 15)");
  job.partition = word(partition, "partition (field 16)");
  return job;
}

}  // namespace

Trace parse_swf(std::string_view text, const std::string& file_name, BadRows bad_rows) {
  Trace trace;
  for_each_line(text, [&](std::int64_t line, std::string_view content) {
    const std::vector<Field> fields = fields_between_blanks(content);
    if (fields.empty() || fields.front().text.front() == ';') return;
    read_row(trace, file_name, line, bad_rows, [&] {
      trace.jobs.push_back(job_of(fields));
      trace.jobs.back().line = line;
    });
  });
  put_in_order(trace);
  return trace;
}

}  // namespace ultramarine::simulator
