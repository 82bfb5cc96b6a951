// What a replay was like for the people who waited, in numbers. Definitions, with times in seconds:
//   turnaround        end - submit
//   wait              turnaround - runtime: all time without progress
//   first wait        first start - submit
//   bounded slowdown  max(1, turnaround / max(runtime, 10))
//   makespan          last end - first submit
//   utilization       sum of gpus x runtime / (GPUs of the cluster x makespan)
//   ... while jobs arrive: GPUs that run jobs / GPUs of the cluster, averaged from the first to the last submit
//   first output      the first time that anything of the job ran, a trial or the whole, - submit
//   known             of a job that fails early: end - submit, until its owner knows
//   wasted            GPU time held by attempts that failed, and by trials that ran out of time
//   fairness          Jain's index (Jain, Chiu & Hawe 1984) of the accounts' mean bounded slowdowns: 1 = all are slowed alike, 1/n = one of n bears it all
//   slips             planned starts that moved later than they were planned last, each under one cause: node_loss, reservation, configuration, boost,
//                     order_change, arrival_above, early_end, late_end; harm: one that moved because a job below it in the order started
// Percentiles are nearest rank. Jobs that never ran count nowhere but in `never_ran`.
#pragma once

#include <boost/describe.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/simulator/world.h"

namespace ultramarine::simulator {

struct Distribution {
  double mean = 0, p50 = 0, p95 = 0, p99 = 0, max = 0;
};
BOOST_DESCRIBE_STRUCT(Distribution, (), (mean, p50, p95, p99, max))

/// Jobs that asked for about as many GPUs.
struct SizeClass {
  std::string gpus;  // "1", "2-8" ...
  std::int64_t jobs = 0;
  Distribution wait_s, bounded_slowdown;
};
BOOST_DESCRIBE_STRUCT(SizeClass, (), (gpus, jobs, wait_s, bounded_slowdown))

/// How often and by how long in all.
struct SlipTotal {
  std::int64_t slips = 0;
  double later_s = 0;
};
BOOST_DESCRIBE_STRUCT(SlipTotal, (), (slips, later_s))

/// What trials are for, and what they cost. A job that fails early runs for run_s of its row; the waits of the others tell the price.
struct Trials {
  std::int64_t trials = 0, failed_early = 0, failed_in_trial = 0;
  Distribution first_output_s, known_s, wait_of_others_s;
  double wasted_gpu_h = 0;
};
BOOST_DESCRIBE_STRUCT(Trials, (), (trials, failed_early, failed_in_trial, first_output_s, known_s, wait_of_others_s, wasted_gpu_h))

struct Summary {
  std::string policy;
  std::int64_t jobs = 0, refused = 0, never_ran = 0;
  Distribution wait_s, turnaround_s, bounded_slowdown;
  double first_wait_s_mean = 0;
  double makespan_s = 0;
  double utilization = 0, utilization_while_jobs_arrive = 0;
  std::int64_t preemptions = 0;
  std::optional<double> fairness;  // absent: the trace has no accounts
  std::vector<SizeClass> sizes;    // only those that have jobs
  std::map<std::string, SlipTotal> slips;  // by cause, all but harm; empty: not counted
  std::optional<SlipTotal> harm;           // absent: not counted
  std::optional<Trials> trials;            // absent: no job failed early, and none was tried
};
BOOST_DESCRIBE_STRUCT(Summary, (), (policy, jobs, refused, never_ran, wait_s, turnaround_s, bounded_slowdown, first_wait_s_mean, makespan_s, utilization,
                                    utilization_while_jobs_arrive, preemptions, fairness, sizes, slips, harm, trials))

Summary summarize(const std::string& policy, const Trace& trace, const Replay& replay);

/// One job's wait in seconds and bounded slowdown; the job must have ended.
double wait_s(const TraceJob& row, const JobOutcome& job);
double bounded_slowdown(const TraceJob& row, const JobOutcome& job);

/// The value at nearest rank; 0 for no values. `values` must be sorted.
double percentile(const std::vector<double>& values, std::int64_t percent);

struct SizeBounds {
  const char* gpus;
  std::int64_t least, most;
};
/// The classes that jobs are counted in, small ones first.
const std::vector<SizeBounds>& size_classes();

}  // namespace ultramarine::simulator
