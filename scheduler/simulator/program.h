// `ultra-simulate` from its options to its exit code. Every error of people's input is one line on stderr with the field and the remedy.
#pragma once

#include <string>
#include <vector>

namespace ultramarine::simulator {

struct ProgramOptions {
  std::string trace;
  std::string format;                 // csv, swf, or "" = by the file's ending
  std::string cluster;                // a cluster file
  std::vector<std::string> policies;  // names or files; none = default
  std::string estimate = "true";      // true, limit
  std::string out;                    // a folder; "" = nothing is written
  bool plots = false, json = false, skip_bad_rows = false, slips = false, waits = false;
  std::int64_t jobs = 0;              // only so many first ones; 0 = all
  double early_failures = 0;          // the share of jobs that fail within their first minute
  std::uint64_t seed = 1;             // ... and which those are
};

/// 0 complete; 1 something could not be written or drawn; 2 wrong options, files or rows.
int run_simulate(const ProgramOptions& options);

}  // namespace ultramarine::simulator
