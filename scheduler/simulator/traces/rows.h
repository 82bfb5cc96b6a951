// What the readers of all formats share: lines, numbers, and what happens to a row that makes no sense.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "scheduler/simulator/traces/trace.h"

namespace ultramarine::simulator {

/// A piece of a line, and where it starts, from 1.
struct Field {
  std::string text;
  std::int64_t column = 1;
};

/// Thrown for a row that makes no sense.
struct BadRow {
  std::int64_t column = 1;
  std::string field, problem, remedy;
};

/// file:line:column
std::string place(const std::string& file_name, std::int64_t line, std::int64_t column);

/// Calls `read` for each line, without its end, numbered from 1.
void for_each_line(std::string_view text, const std::function<void(std::int64_t line, std::string_view content)>& read);

/// Calls `read`; a BadRow that it throws is counted in the trace, or becomes a ConfigError.
void read_row(Trace& trace, const std::string& file_name, std::int64_t line, BadRows bad_rows, const std::function<void()>& read);

/// A whole number from `low` to `high`. Throws BadRow.
std::int64_t whole_number(const Field& field, const std::string& name, std::int64_t low, std::int64_t high);

/// The last step of every reader: by submission, then by line.
void put_in_order(Trace& trace);

}  // namespace ultramarine::simulator
