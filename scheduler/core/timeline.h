// The calendar of devices: who holds which device from when to when, and where the gaps are. The one idea: a profile per device,
// not one count of processors, so a plan is a list of concrete allocations in which no device is promised twice.
// Back-to-back stays leave no gap, so the lists of gaps stay short however many jobs are planned. What stays take of a node beside its
// devices (CPUs, memory) is a sum over time per node; only requests that ask for it look there.
// Knows times, devices and shapes; knows nothing of jobs' order, states or reasons.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <vector>

#include "scheduler/core/policy/policies.h"
#include "scheduler/core/shape.h"
#include "scheduler/model/time.h"

namespace ultramarine::core {

constexpr Time forever{std::numeric_limits<std::int64_t>::max()};

/// What a request asks of each of its nodes beside devices. CPUs and memory are per device; 0 = nothing.
struct Needs {
  std::int64_t cpus_per_gpu = 0;
  std::int64_t memory_per_gpu_bytes = 0;
  bool exclusive = false;  // a node counts only while all of its devices are free, and all of them are taken
  friend bool operator==(const Needs&, const Needs&) = default;
};

/// Somebody's stay on one device, [start, end), and what it takes of the node's CPUs and memory meanwhile.
struct Stay {
  Time start, end;
  JobId job;
  std::int64_t cpus = 0;
  std::int64_t memory_bytes = 0;
};

/// [start, end)
struct Interval {
  Time start, end;
};

/// A node as the calendar sees it.
struct TimelineNode {
  std::int64_t devices = 0;
  std::int64_t cpus = 0;          // 0 = not counted
  std::int64_t memory_bytes = 0;  // 0 = not counted
  std::size_t leaf = 0;           // nodes with the same number share a leaf switch
};

/// A place in the calendar: `devices` ascending, nodes in node order.
struct Fit {
  struct OnNode {
    std::size_t node = 0;
    std::vector<std::int64_t> devices;
  };
  Time start;
  std::vector<OnNode> nodes;
};

/// What is looked for: `shape` for `length` at or after `from`.
struct PlaceRequest {
  Shape shape;
  Duration length;
  Time from;
  std::size_t position = 0;  // of the job in the queue, from 0. Holders behind it are obstacles, but don't count when nodes are compared.
  const std::vector<std::size_t>& nodes;  // it may use, ascending
  Needs needs = {};
  /// Per node of the timeline, when the node is closed to this job: ascending, disjoint. nullptr: never.
  const std::vector<std::vector<Interval>>* closed = nullptr;
};

class Timeline {
 public:
  /// Everything is free for ever.
  explicit Timeline(const std::vector<TimelineNode>& nodes);

  /// The device is held already, until `stay.end` (its start is ignored), by a job that is ahead of the queue's jobs from position
  /// `ahead_of` on (from 0).
  void hold(std::size_t node, std::int64_t device, const Stay& stay, std::size_t ahead_of);

  /// The earliest place for the request; nullopt: there is never one.
  /// Every iteration jumps to a bound that no feasible start can be before: O(devices) each, few iterations.
  /// Source: conservative backfill, Mu'alem & Feitelson 2001; our profile is per device, not one processor count.
  std::optional<Fit> earliest_fit(const PlaceRequest& request, const policy::Placement& placement);

  /// Adds a stay. The device must be free for all of it. Returns the stay that ends last before it, if there is one.
  std::optional<Stay> add(std::size_t node, std::int64_t device, const Stay& stay);

 private:
  struct Gap {
    Time start, end;  // never empty
  };
  struct Device {
    std::vector<Gap> gaps;    // ascending; the last one ends `forever`
    std::vector<Stay> stays;  // ascending
    Time held_until;          // by whom holds it from the beginning; only if ahead_of > 0
    std::size_t ahead_of = 0;
    // While searching: the first gap that is long enough, and the earliest start in it.
    std::size_t gap = 0;
    Time soonest;
  };
  /// From `at` until the next step so much of the node is taken.
  struct Step {
    Time at;
    std::int64_t cpus = 0, memory_bytes = 0;
  };
  struct Node {
    TimelineNode size;
    std::vector<Device> devices;
    std::vector<Step> steps;  // ascending; the first is at the beginning of time
    // While searching: when enough devices for a part, and for the remainder, could first be free.
    Time part_soonest, remainder_soonest;
    bool has_conditions = false;  // of this request: its devices' `soonest` say nothing then
  };

  /// Moves on to the first gap, from the device's current one, that holds `length` at or after `from`.
  static void seek(Device& device, Time from, Duration length);
  void summarize(Node& node, const Shape& shape);
  /// Whether more than free devices decides when the node is ready for the request.
  bool has_conditions(std::size_t node, const PlaceRequest& request) const;
  /// When the node could first give `count` devices at or after `from`, with all that is asked beside them.
  Time ready_under_conditions(std::size_t node, const PlaceRequest& request, std::int64_t count, Time from);
  /// When `count` of its devices could first be free together at or after `from`.
  Time devices_ready(const Node& node, std::int64_t count, Time from, Duration length);
  /// `start` when the node has CPUs and memory for `count` devices in all of [start, start + length), else when a shortage in it ends.
  static Time after_shortage(const Node& node, const PlaceRequest& request, std::int64_t count, Time start);
  /// `start` when the node is open to the job in all of [start, start + length), else when it opens again.
  static Time after_closure(std::size_t node, const PlaceRequest& request, Time start);
  /// How many of its `free` devices the node can give for a stay from `start` on, by what is asked beside them.
  std::int64_t usable(std::size_t node, const PlaceRequest& request, std::int64_t free, Time start) const;
  /// Whether the device would be free for all of [start, start + length) but for a holder that is behind `position`.
  static bool free_but_for_who_is_behind(const Device& device, Time start, Duration length, std::size_t position);
  static void take_beside(Node& node, const Stay& stay);
  static bool is_free(const Device& device, Time start, Duration length);
  Fit place(const PlaceRequest& request, Time start, const policy::Placement& placement) const;

  std::vector<Node> nodes_;
  std::vector<Time> sorted_;  // scratch of the search
};

/// For a shape, which lengths of stay are known not to fit before which time. It holds because a plan only ever fills the calendar
/// up: what didn't fit once doesn't fit later, and what is longer doesn't fit where the shorter one didn't.
class KnownBounds {
 public:
  /// A start that no stay of at least this length can be before.
  Time not_before(const Shape& shape, Duration length, Time otherwise) const;
  /// The earliest fit of that length was found to be `start`.
  void learn(const Shape& shape, Duration length, Time start);

 private:
  std::map<Shape, std::map<Duration, Time>> bounds_;  // both length and time ascend strictly
};

}  // namespace ultramarine::core
