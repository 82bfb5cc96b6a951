// Comma-separated values with a header. Quotes as in RFC 4180: "a ""b"", c" is one field.
#include <algorithm>
#include <array>
#include <map>

#include "scheduler/simulator/traces/rows.h"

namespace ultramarine::simulator {
namespace {

constexpr std::array needed{"id", "submit_s", "runtime_s", "gpus"};
constexpr std::array optional_columns{"limit_s", "account", "user", "partition", "qos", "nice"};
constexpr std::int64_t nice_max = 1'000'000'000;

/// The fields of a line. Throws BadRow.
std::vector<Field> fields_between_commas(std::string_view line) {
  std::vector<Field> fields;
  std::size_t at = 0;
  for (;;) {
    Field field{"", static_cast<std::int64_t>(at) + 1};
    if (at < line.size() && line[at] == '"') {
      for (++at;; ++at) {
        if (at >= line.size()) throw BadRow{field.column, "", "a quote isn't closed", "close it on the same line"};
        if (line[at] != '"') {
          field.text += line[at];
        } else if (at + 1 < line.size() && line[at + 1] == '"') {
          field.text += line[at++];
        } else {
          break;
        }
      }
      ++at;
      if (at < line.size() && line[at] != ',')
        throw BadRow{static_cast<std::int64_t>(at) + 1, "", "something follows a closing quote", "put a comma there, or write a quote inside quotes twice"};
    } else {
      const std::size_t end = std::min(line.find(',', at), line.size());
      field.text = line.substr(at, end - at);
      at = end;
    }
    fields.push_back(std::move(field));
    if (at >= line.size()) return fields;
    ++at;  // the comma
  }
}

std::string list(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

/// Column name -> index. Throws ConfigError.
std::map<std::string, std::size_t> read_header(std::string_view line, const std::string& where, Trace& trace) {
  std::vector<Field> fields;
  try {
    fields = fields_between_commas(line);
  } catch (const BadRow& bad) {
    throw protocol::ConfigError(where, "header", bad.problem, bad.remedy);
  }
  const auto is_used = [](const std::string& name) {
    return std::find(needed.begin(), needed.end(), name) != needed.end() ||
           std::find(optional_columns.begin(), optional_columns.end(), name) != optional_columns.end();
  };
  std::map<std::string, std::size_t> columns;
  for (std::size_t index = 0; index < fields.size(); ++index) {
    const std::string& name = fields[index].text;
    if (!columns.emplace(name, index).second) throw protocol::ConfigError(where, "header", "the column \"" + name + "\" is there twice", "name each column once");
    if (!is_used(name)) trace.unused_columns.push_back(name);
  }
  std::vector<std::string> missing;
  for (const char* name : needed)
    if (!columns.count(name)) missing.push_back(name);
  if (!missing.empty())
    throw protocol::ConfigError(where, "header", "there is no column " + list(missing),
                                "the first line names the columns, at least id,submit_s,runtime_s,gpus; give a Standard Workload file with --format swf");
  return columns;
}

}  // namespace

Trace parse_csv(std::string_view text, const std::string& file_name, BadRows bad_rows) {
  Trace trace;
  std::map<std::string, std::size_t> columns;
  const auto read_job = [&](std::int64_t line, std::string_view content) {
    const std::vector<Field> fields = fields_between_commas(content);
    if (fields.size() != columns.size()) {
      throw BadRow{fields.size() > columns.size() ? fields[columns.size()].column : static_cast<std::int64_t>(content.size()) + 1, "",
                   std::to_string(fields.size()) + " fields, the header names " + std::to_string(columns.size()), "give one field for each column"};
    }
    const auto number = [&](const char* name, std::int64_t low, std::int64_t high) { return whole_number(fields[columns.at(name)], name, low, high); };
    const auto has = [&](const char* name) { return columns.count(name) && !fields[columns.at(name)].text.empty(); };
    const auto word = [&](const char* name) { return has(name) ? fields[columns.at(name)].text : std::string(); };
    TraceJob job;
    job.id = word("id");
    if (job.id.empty()) throw BadRow{fields[columns.at("id")].column, "id", "nothing is there", "name every job"};
    job.submit_s = number("submit_s", 0, submit_s_max);
    job.runtime_s = number("runtime_s", 0, runtime_s_max);
    job.gpus = number("gpus", 1, gpus_max);
    if (has("limit_s")) job.limit_s = number("limit_s", 1, runtime_s_max);
    if (has("nice")) job.nice = number("nice", 0, nice_max);
    job.account = word("account");
    job.user = word("user");
    job.partition = word("partition");
    job.qos = word("qos");
    job.line = line;
    trace.jobs.push_back(std::move(job));
  };
  for_each_line(text, [&](std::int64_t line, std::string_view content) {
    if (content.empty()) return;
    if (columns.empty())
      columns = read_header(content, place(file_name, line, 1), trace);
    else
      read_row(trace, file_name, line, bad_rows, [&] { read_job(line, content); });
  });
  if (columns.empty()) throw protocol::ConfigError(place(file_name, 1, 1), "header", "the file is empty", "start it with id,submit_s,runtime_s,gpus");
  put_in_order(trace);
  return trace;
}

}  // namespace ultramarine::simulator
