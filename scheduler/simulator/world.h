// A cluster on which time is a number: rows of a trace arrive, jobs run for exactly as long as they need, and every choice is made by
// core::Scheduler, which is driven as a daemon drives it: apply, decide, next_wakeup. Nothing here orders jobs or chooses nodes.
//
// What happens in one instant: first all ends, then all arrivals, then a round; and another round when jobs that were told to yield have
// given back their devices. A job that yields keeps its progress and loses no time by it. Nobody is stopped at his time limit. A trial is stopped at its
// end, and its progress is lost; on fewer GPUs a program takes so many times as long, but it fails as soon as on many.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/core/slips.h"
#include "scheduler/core/wait_ledger.h"
#include "scheduler/model/cluster.h"
#include "scheduler/simulator/traces/trace.h"

namespace ultramarine::simulator {

/// What the scheduler is told of a job's length: what it really is, or what was asked for (the real length where nothing was).
enum class Estimate { truth, limit };

struct JobOutcome {
  std::size_t row = 0;  // of the trace
  std::optional<Time> first_output;  // when anything of it first ran, be it a trial
  std::optional<Time> first_start;   // as a whole; of one that ended in its trial, when that started
  std::optional<Time> end;
  bool failed = false, tried = false;
  std::int64_t wasted_gpu_ms = 0;    // held for what came to nothing: attempts that failed, and trials that ran out of time
  std::int64_t nodes = 0;        // that it last ran on
  std::int64_t attempts = 0;     // stays on an allocation, a move to another one included
  std::int64_t preemptions = 0;  // how often it ran and then waited again
};

/// A job that this cluster does not take, in the words of the scheduler.
struct RefusedJob {
  std::size_t row = 0;
  std::string why;
};

/// GPUs that run jobs and jobs that wait, from `at` on.
struct Load {
  Time at;
  std::int64_t gpus = 0;
  std::int64_t waiting = 0;
};

/// Planned starts that moved later under one cause (see core/slips.h).
struct SlipsOfCause {
  core::SlipCause cause = core::SlipCause::overtaken;
  std::int64_t slips = 0;
  Duration later;  // all of them together
};

struct Replay {
  std::int64_t cluster_gpus = 0;
  std::vector<JobOutcome> jobs;     // that the cluster took, in the trace's order; one without an end could never start
  std::vector<RefusedJob> refused;
  std::vector<Load> load;           // ascending
  std::vector<SlipsOfCause> slips;  // every cause, in the order of the causes, harm last; empty: not counted
  std::vector<std::vector<WaitPart>> waits;  // of each of `jobs` what it waited for; empty: not kept
  std::vector<std::string> notes;   // for people: what of the trace the cluster does not know
};

/// Called now and then with the number of ended jobs.
using Progress = std::function<void(std::size_t ended)>;

/// To count them takes a plan after every event.
enum class Slips { ignored, counted };
/// To keep the ledger of waits takes one after nearly every instant.
enum class Waits { ignored, kept };

/// Runs the whole trace. Partitions and QOS that the cluster doesn't have become its first partition and `normal`; accounts are added to it,
/// and are open to everybody. Partitions allow the longest time limit of the trace, because its jobs ran. Deterministic.
Replay replay(const Trace& trace, ClusterConfig cluster, const PolicyConfig& policy, Estimate estimate, const Progress& progress = {},
              Slips slips = Slips::ignored, Waits waits = Waits::ignored);

}  // namespace ultramarine::simulator
