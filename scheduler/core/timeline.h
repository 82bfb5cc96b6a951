// The calendar of devices: where the gaps between stays are, and whose stay each follows. The one idea: a profile per device,
// not one count of processors, so a plan is a list of concrete allocations in which no device is promised twice.
// Back-to-back stays leave no gap, so the lists of gaps stay short however many jobs are planned. What stays take of a node beside its
// devices (CPUs, memory) is a sum over time per node; only requests that ask for it look there.
// Knows times, devices and shapes; knows nothing of jobs' order, states or reasons.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "scheduler/core/policy/policies.h"
#include "scheduler/core/shape.h"
#include "scheduler/model/time.h"

namespace ultramarine::core {

constexpr Time forever{std::numeric_limits<std::int64_t>::max()};
constexpr Duration unbounded{std::numeric_limits<std::int64_t>::max() / 4};

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

std::int64_t gpus_of(const Fit& fit);

/// What is looked for: `shape` for `length` at or after `from`.
struct PlaceRequest {
  Shape shape;
  Duration length;
  Time from;
  std::size_t position = 0;  // of the job in the queue, from 0. Holders behind it are obstacles, but don't count when nodes are compared.
  const std::vector<std::size_t>& nodes;  // it may use, ascending
  Needs needs = {};
  bool is_bound = false;  // it is known that nothing fits before `from`
  /// Per node of the timeline, when the node is closed to this job: ascending, disjoint. nullptr: never.
  const std::vector<std::vector<Interval>>* closed = nullptr;
};

/// Which lengths of stay are known not to fit before which time. It holds because a plan only ever fills the calendar up: what didn't fit
/// once doesn't fit later, and what is longer doesn't fit where the shorter one didn't.
class LengthBounds {
 public:
  /// A start that no stay of at least this length can be before.
  Time not_before(Duration length, Time otherwise) const;
  /// The earliest fit of that length was found to be `start`.
  void learn(Duration length, Time start);

 private:
  std::vector<std::pair<Duration, Time>> bounds_;  // both ascend strictly
};

class Timeline {
 public:
  /// Everything is free for ever. No request is for a time before `now`.
  explicit Timeline(const std::vector<TimelineNode>& nodes, Time now = {});

  /// The device is held already, until `stay.end` (its start is ignored), by a job that is ahead of the queue's jobs from position
  /// `ahead_of` on (from 0).
  void hold(std::size_t node, std::int64_t device, const Stay& stay, std::size_t ahead_of);

  /// The earliest place for the request; nullopt: there is never one.
  /// Every iteration jumps to a bound that no feasible start can be before, and looks only at nodes that might be ready then: what is known
  /// not to fit on a node before some time is kept, because the calendar only fills up.
  /// Source: conservative backfill, Mu'alem & Feitelson 2001; our profile is per device, not one processor count.
  std::optional<Fit> earliest_fit(const PlaceRequest& request, const policy::Placement& placement);

  /// Adds a stay. The device must be free for all of it. Returns the end of the stay that ends last before it and whose it is, if there is one.
  std::optional<std::pair<Time, JobId>> add(std::size_t node, std::int64_t device, const Stay& stay);

  /// Keeps the device clear of later stays from `from` on until the stay that begins at `until`; what is taken before stays.
  void keep_clear(std::size_t node, std::int64_t device, Time from, Time until);

  /// Whether devices alone would allow `shape` on `nodes` in [start, start + length).
  bool has_devices(const Shape& shape, const std::vector<std::size_t>& nodes, Time start, Duration length) const;
  /// Whether since this was last asked stays took something from gaps that reach over `now`.
  bool has_less_now() { return std::exchange(has_less_now_, false); }
  /// Whether `fit`, just found, would be on the same nodes whatever jobs ahead still took behind those who hold devices now (and are behind the
  /// request). false: that can't be told.
  bool is_certain(const PlaceRequest& request, const Fit& fit, const policy::Placement& placement) const;
  /// The longest stay that any device could take from `now` on; zero when none is free, `unbounded` when one is free for ever.
  Duration longest_from_now() const;

 private:
  struct Gap {
    Time start, end;  // never empty
    JobId after;      // whose stay ends at its start; 0 at the beginning of time
  };
  struct Device {
    std::vector<Gap> gaps;    // ascending; the last one ends `forever`
    Time held_until;          // by whom holds it from the beginning; only if ahead_of > 0
    std::size_t ahead_of = 0;
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
    std::vector<LengthBounds> bounds;  // by the number of devices
  };
  /// One half of a search: which nodes could give `count` devices, and when at the earliest; `needed` of them must at the same time.
  struct Side {
    std::int64_t count = 0;
    std::size_t needed = 0;
    std::vector<Time> soonest;    // by place in the request's nodes: a bound that is not too late
    std::vector<char> is_exact;   // it is the very time
  };

  void start_side(Side& side, const PlaceRequest& request, std::int64_t count, std::size_t needed);
  /// A bound of every start at or after `start` with which the side agrees; `start` itself only if it does.
  Time next_start(Side& side, const PlaceRequest& request, Time start);
  /// When the node could first give `count` devices at or after `from`.
  Time ready(std::size_t node, const PlaceRequest& request, std::int64_t count, Time from);
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
  /// The first gap that ends at or after `time`, which the last one does.
  static const Gap* first_gap_to(const Device& device, Time time);
  static bool is_free(const Device& device, Time start, Duration length);
  /// What the nodes that may be ready offer at `start`.
  std::vector<policy::Offer> offers(const PlaceRequest& request, Time start) const;
  Fit place(const PlaceRequest& request, Time start, const policy::Placement& placement) const;

  std::vector<Node> nodes_;
  Time now_;
  bool is_one_leaf_ = true;
  bool has_less_now_ = false;
  // Scratch of the search: of the devices of a node the gap that is looked at and the earliest start in it.
  std::vector<const Gap*> gaps_;
  std::vector<Time> soonest_, sorted_;
  Side parts_, remainder_;
};

/// The same per shape.
class KnownBounds {
 public:
  Time not_before(const Shape& shape, Duration length, Time otherwise) const;
  void learn(const Shape& shape, Duration length, Time start) { bounds_[shape].learn(length, start); }

 private:
  std::map<Shape, LengthBounds> bounds_;
};

}  // namespace ultramarine::core
