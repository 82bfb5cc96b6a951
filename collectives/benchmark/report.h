// The table of nccl-tests, and the same numbers as one JSON object. Text only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "collectives/benchmark/measure.h"

namespace ultramarine::collectives::benchmark {

struct Run {
  std::string_view backend;
  Kind kind = Kind::all_reduce;
  DataType type = DataType::float32;
  int ranks = 1;
  Settings settings;
  std::vector<Row> rows;

  double average_busbw() const;  // over all rows, out of place and in place
  std::int64_t wrong() const;
};

/// What the run is, and the titles of the columns.
std::string table_head(const Run& run);
std::string table_row(const Run& run, const Row& row);
std::string table_foot(const Run& run);

/// One object for each run, in an array under "runs".
std::string json_of(const std::vector<Run>& runs);

}  // namespace ultramarine::collectives::benchmark
