// A workload that really happened, or was made up: who wanted how many GPUs, when, for how long. One file per format turns text into these
// rows; what is wrong with a row is said with file, line and column. Knows no cluster and no policy.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/protocol/config.h"

namespace ultramarine::simulator {

struct TraceJob {
  std::string id;                       // the trace's own, any text
  std::int64_t submit_s = 0;
  std::int64_t runtime_s = 0;           // progress that it needs
  std::int64_t gpus = 1;
  std::optional<std::int64_t> limit_s;  // the time limit that was asked for
  std::string account, user, partition, qos;
  std::int64_t nice = 0;
  std::int64_t line = 0;                // in the file, from 1
  std::optional<std::int64_t> fails_after_s;  // so long it runs, on whatever it runs, and then it fails; absent: it runs for runtime_s and ends well
  bool operator==(const TraceJob&) const = default;
};

struct Trace {
  std::string name;                         // of the file, without folder and ending
  std::vector<TraceJob> jobs;               // by submission, then by line
  std::int64_t bad_rows = 0;                // left out, because that was asked for
  std::string first_bad_row;                // what is wrong with the first of them
  std::vector<std::string> unused_columns;  // that the file has and nobody here knows
};

/// How long the job runs.
inline std::int64_t run_s(const TraceJob& job) { return job.fails_after_s.value_or(job.runtime_s); }

enum class BadRows { refused, skipped };

constexpr std::int64_t submit_s_max = 100'000'000'000, runtime_s_max = 3650LL * 86'400, gpus_max = 1'000'000;

/// CSV (RFC 4180, without line breaks inside fields): a header with at least id,submit_s,runtime_s,gpus, in any order; limit_s, account, user,
/// partition, qos and nice are used where they are. Times are whole seconds. Throws protocol::ConfigError with file:line:column for a header
/// that lacks a column and, unless they are to be skipped, for the first row that makes no sense.
Trace parse_csv(std::string_view text, const std::string& file_name, BadRows bad_rows);

/// The Standard Workload Format (Feitelson, Parallel Workloads Archive): lines of 18 fields, -1 = unknown, comments start with `;`. A
/// processor counts as a GPU. The group is the account; queue is the QOS. Throws as parse_csv.
Trace parse_swf(std::string_view text, const std::string& file_name, BadRows bad_rows);

/// A share of the jobs fail within their first minute, as programs do that have a typo, or lack a file: which ones, and after how many seconds (5 to
/// 60, but never longer than they would run), follows from the seed and their places in the trace. What was asked for stays.
void fail_early(Trace& trace, std::int64_t share_permille, std::uint64_t seed);

/// `format`: csv, swf, or "" = by the file's ending, csv unless it is .swf. Throws protocol::ConfigError, also when the file can't be read.
Trace load_trace(const std::string& path, const std::string& format, BadRows bad_rows);

}  // namespace ultramarine::simulator
