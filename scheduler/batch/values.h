// The forms of single values: counts, sizes of memory, GPU requests, arrays, dependencies, signals. Each function takes the text and, for its
// error, the place that it was given at; it throws Problem. Knows no option names.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/batch/problem.h"
#include "scheduler/model/job.h"

namespace ultramarine::batch {

/// ASCII alone.
std::string lower_case(std::string text);

/// A whole number from 1 (or `least`) to 1,000,000.
std::int64_t count_value(const std::string& text, const std::string& where, std::int64_t least = 1);

/// Slurm's --nice: a number from -2147483645 to 2147483645; "" = 100.
std::int64_t nice_value(const std::string& text, const std::string& where);
/// 0 to max_restarts_most.
std::int64_t restarts_value(const std::string& text, const std::string& where);
/// A length of time of at least a second, or `off`: never_hangs.
Duration hang_value(const std::string& text, const std::string& where);

/// `wait`: 0; or `stop-after=TIME`, at least stop_when_cut_off_least.
Duration cut_off_value(const std::string& text, const std::string& where);

/// N, or MIN-MAX.
struct Range {
  std::int64_t min = 0, max = 0;
};
Range range_value(const std::string& text, const std::string& where);

/// Slurm's time forms; a bare number is minutes, seconds round up to minutes; 0, -1, UNLIMITED, INFINITE = longest_time_limit.
/// Our own forms (2h) are taken as well.
Duration slurm_time_value(const std::string& text, const std::string& where);
/// 30s, 2h, 1-12:00; at least `least`.
Duration time_value(const std::string& text, const std::string& where, Duration least);

/// An instant, in the forms of protocol::parse_instant.
Time instant_value(const std::string& text, const std::string& where, Time now);

/// `512`, `64G`, `16gb`: a whole number, bare = megabytes, 0 = all of the node. In bytes.
std::int64_t memory_value(const std::string& text, const std::string& where);
/// `100MiB`, `2G`, bytes with a unit.
std::int64_t size_value(const std::string& text, const std::string& where);

/// A hostlist's names, in its order.
std::vector<std::string> hosts_value(const std::string& text, const std::string& where);
/// The names in a file of nodes: hostlists, one or several a line; # begins a comment.
std::vector<std::string> hosts_in_file(const std::string& text, const std::string& where);

/// `a&b` (or a,b): features that a node must all have. nullopt: it asks for one of several, or counts them (a|b, [a|b], a*2).
std::optional<std::vector<std::string>> features_value(const std::string& text, const std::string& where);

/// `[TYPE:]N`.
struct GpuCount {
  std::int64_t count = 0;
  std::string type;
};
GpuCount gpus_value(const std::string& text, const std::string& where, std::int64_t least = 0);

/// `gpu[:TYPE][:N]` and other kinds, with commas between.
struct Gres {
  std::optional<GpuCount> gpus;
  std::string others;  // the entries that are no GPUs, as typed
};
Gres gres_value(const std::string& text, const std::string& where);

/// `0-15%4`, `1,3,5-7`, `0-15:4`.
struct ArrayIndices {
  std::vector<std::int64_t> indices;  // ascending, no two the same, 1 to 10,000
  std::int64_t limit = 0;             // 0 = all at once
};
ArrayIndices array_value(const std::string& text, const std::string& where);

/// A dependency as typed. `element`: of 12_3, the 3; who knows the cluster says which job that is.
struct TypedDependency {
  JobId job;
  std::optional<std::int64_t> element;
  DependencyCondition condition = DependencyCondition::ok;
};
/// Slurm's: `afterok:12:13,afterany:14_3`. What can't be honoured (aftercorr, singleton, ?, after:12+5) is refused with the remedy.
std::vector<TypedDependency> slurm_dependency_value(const std::string& text, const std::string& where);
/// Ours: `12`, `12:any,13:notok`.
std::vector<TypedDependency> after_value(const std::string& text, const std::string& where);

/// `[B:]SIGNAL[@SECONDS]`: a name with or without SIG, or a number.
WarningSignal signal_value(const std::string& text, const std::string& where);

}  // namespace ultramarine::batch
