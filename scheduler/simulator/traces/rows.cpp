// See rows.h and trace.h.
#include "scheduler/simulator/traces/rows.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace ultramarine::simulator {

std::string place(const std::string& file_name, std::int64_t line, std::int64_t column) {
  return file_name + ":" + std::to_string(line) + ":" + std::to_string(column);
}

void for_each_line(std::string_view text, const std::function<void(std::int64_t, std::string_view)>& read) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // a byte order mark
  for (std::int64_t line = 1; !text.empty(); ++line) {
    const std::size_t end = text.find('\n');
    std::string_view content = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (content.ends_with('\r')) content.remove_suffix(1);
    read(line, content);
  }
}

void read_row(Trace& trace, const std::string& file_name, std::int64_t line, BadRows bad_rows, const std::function<void()>& read) {
  try {
    read();
  } catch (const BadRow& bad) {
    const protocol::ConfigError error(place(file_name, line, bad.column), bad.field, bad.problem, bad.remedy);
    if (bad_rows == BadRows::refused) throw error;
    if (trace.bad_rows++ == 0) trace.first_bad_row = error.what();
  }
}

std::int64_t whole_number(const Field& field, const std::string& name, std::int64_t low, std::int64_t high) {
  const std::string& text = field.text;
  const std::string remedy = "write a whole number from " + std::to_string(low) + " to " + std::to_string(high) + ", or leave such rows out by --skip-bad-rows";
  if (text.empty()) throw BadRow{field.column, name, "nothing is there", remedy};
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range || (error == std::errc() && end == text.data() + text.size() && (value < low || value > high)))
    throw BadRow{field.column, name, text + " is out of range", remedy};
  if (error != std::errc() || end != text.data() + text.size()) throw BadRow{field.column, name, "\"" + text + "\" is not a whole number", remedy};
  return value;
}

void put_in_order(Trace& trace) {
  std::stable_sort(trace.jobs.begin(), trace.jobs.end(), [](const TraceJob& a, const TraceJob& b) { return a.submit_s < b.submit_s; });
}

Trace load_trace(const std::string& path, const std::string& format, BadRows bad_rows) {
  const std::filesystem::path file_name(path);
  std::error_code error;
  if (std::filesystem::is_directory(file_name, error)) throw protocol::ConfigError(path, "trace", "it is a folder", "name a file");
  std::ifstream file(path, std::ios::binary);
  if (!file) throw protocol::ConfigError(path, "trace", std::string("can't read it: ") + std::strerror(errno), "name a file that you may read");
  std::ostringstream text;
  text << file.rdbuf();
  const bool is_swf = format.empty() ? file_name.extension() == ".swf" : format == "swf";
  Trace trace = is_swf ? parse_swf(text.str(), path, bad_rows) : parse_csv(text.str(), path, bad_rows);
  trace.name = file_name.stem().string();
  return trace;
}

}  // namespace ultramarine::simulator
