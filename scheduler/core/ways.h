// What would let a waiting job start now, or sooner: a few changes to what it asks for, each as small as it can be on its axis, and each proven by the
// planner. The one idea: a grid of requests is probed in one pass over the queue, because a job's start depends on those ahead of it alone; the few
// that are offered are then planned whole, so that what is said of them and of others is what would happen.
#pragma once

#include <vector>

#include "scheduler/core/scheduler.h"
#include "scheduler/model/bill.h"

namespace ultramarine::core {

/// What of the request is changed.
///  size            fewer GPUs
///  shape           as many GPUs in another shape
///  time            a shorter time limit
///  nodes           nodes that it didn't want, or nodes shared with others
///  partition, qos  another one that it may use
///  size_and_time   fewer GPUs and less time; only where neither alone helps
enum class WayKind { shape, time, size, nodes, partition, qos, size_and_time };

struct Way {
  WayKind kind = WayKind::time;
  JobChange change;
  Time start;                        // by the plan with this change
  bool is_suggestion = false;        // fewer GPUs than it said that its program can run on: whether it can is for its owner to know
  std::vector<MovedStart> delayed;   // others, by this change
  std::int64_t displaced_gpu_ms = 0;
};

constexpr std::size_t ways_max = 5;

/// Where accounts have floors or soft caps the grid is searched as if the job kept its place in the order; what is offered is proven all the same.
/// At most five, those that start it now first. Within an axis the smallest step of the grid that starts it now; if none does, the smallest of those
/// that start it earliest, if that is sooner than planned. Empty: nothing that its owner can change helps, or it waits for something else than its
/// turn (held, a date, another job). `plan` is the scheduler's. O(a plan + grid + a plan for each that is offered); where the policy looks at the present
/// alone O(grid x a plan).
std::vector<Way> ways_to_start(Scheduler scheduler, const Plan& plan, JobId job, Time now);

/// The grid that is searched: requests that could be accepted, in each axis the smallest step first. For tests.
struct Variant {
  WayKind kind = WayKind::time;
  JobChange change;
  JobSpec spec;
};
std::vector<Variant> variants_of(const Scheduler& scheduler, const Job& job, Time now);

}  // namespace ultramarine::core
