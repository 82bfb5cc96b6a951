// What nodes have free at one instant, for stays that begin then: all that is held by others is only given back later. The cheap twin of the
// calendar, for policies that look at the present alone.
// Knows devices, CPUs and memory of nodes; knows nothing of jobs' order or of reasons.
#pragma once

#include <optional>
#include <vector>

#include "scheduler/core/timeline.h"

namespace ultramarine::core {

class Rooms {
 public:
  /// Everything is free.
  explicit Rooms(const std::vector<TimelineNode>& nodes);

  /// The device is held by a job that is ahead of the queue's jobs from position `ahead_of` on.
  void hold(std::size_t node, std::int64_t device, const Stay& stay, std::size_t ahead_of);
  void give_back(std::size_t node, std::int64_t device, const Stay& stay);
  /// What a placed request takes, and gives back.
  void take(const Fit& fit, const Needs& needs);
  void give_back(const Fit& fit, const Needs& needs);
  /// The first `count` free devices of the node; so many must be free.
  std::vector<std::int64_t> free_devices(std::size_t node, std::size_t count) const;

  /// Where the request can start at `request.from`, if it can.
  std::optional<Fit> fit(const PlaceRequest& request, const policy::Placement& placement) const;
  bool has_room(const PlaceRequest& request) const;

  /// How many devices of the node are free for a request with these needs.
  std::int64_t free(std::size_t node, const Needs& needs) const;
  std::int64_t free() const { return free_; }

 private:
  struct Room {
    TimelineNode size;
    std::int64_t free = 0, cpus = 0, memory_bytes = 0;  // CPUs and memory that are taken
    std::vector<std::size_t> ahead_of;                  // per device: of its holder; `nobody` when it is free
  };
  static constexpr std::size_t nobody = static_cast<std::size_t>(-1);

  std::int64_t usable(std::size_t node, const PlaceRequest& request) const;

  std::vector<Room> rooms_;
  std::int64_t free_ = 0;
};

/// What a stay of this job takes on each device beside it. (Who has a node for himself shares its CPUs and memory with nobody.)
Stay stay_of(JobId job, Time start, Time end, const Needs& needs);

}  // namespace ultramarine::core
