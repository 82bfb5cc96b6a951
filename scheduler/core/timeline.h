// The calendar of devices: who holds which device from when to when, and where the gaps are. The one idea: a profile per device,
// not one count of processors, so a plan is a list of concrete allocations in which no device is promised twice.
// Back-to-back stays leave no gap, so the lists of gaps stay short however many jobs are planned.
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

/// Somebody's stay on one device: [start, end).
struct Stay {
  Time start, end;
  JobId job;
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

class Timeline {
 public:
  /// `devices[n]`: number of devices of node n. Everything is free for ever.
  explicit Timeline(const std::vector<std::int64_t>& devices);

  /// The device is held already, until `end`, by a job that is ahead of the queue's jobs from position `ahead_of` on (from 0).
  void hold(std::size_t node, std::int64_t device, Time end, JobId job, std::size_t ahead_of);

  /// The earliest time at or after `from` when `shape` fits on `nodes` (ascending) for `length`, and where. nullopt: never.
  /// `position`: of the job in the queue, from 0. Holders behind it are obstacles, but don't count when nodes are compared.
  /// Every iteration jumps to a bound that no feasible start can be before: O(devices) each, few iterations.
  /// Source: conservative backfill, Mu'alem & Feitelson 2001; our profile is per device, not one processor count.
  std::optional<Fit> earliest_fit(const Shape& shape, Duration length, Time from, std::size_t position,
                                  const std::vector<std::size_t>& nodes, const policy::Placement& placement);

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
  struct Node {
    std::vector<Device> devices;
    // While searching: when enough devices for a part, and for the remainder, could first be free.
    Time part_soonest, remainder_soonest;
  };

  /// Moves on to the first gap, from the device's current one, that holds `length` at or after `from`.
  static void seek(Device& device, Time from, Duration length);
  void summarize(Node& node, const Shape& shape);
  /// Whether the device would be free for all of [start, start + length) but for a holder that is behind `position`.
  static bool free_but_for_who_is_behind(const Device& device, Time start, Duration length, std::size_t position);
  Fit place(const Shape& shape, Time start, Duration length, std::size_t position, const std::vector<std::size_t>& nodes,
            const policy::Placement& placement) const;

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
