// What dates do to a job: reservations close nodes to it or open them, its begin time and its deadline bound its start. The one idea: a
// reservation is only an interval in which its nodes are closed to all who don't name it; who names it finds them closed outside of it.
// Nobody who runs is stopped by it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/core/timeline.h"
#include "scheduler/model/state.h"

namespace ultramarine::core {

/// When each node is closed to the jobs of one reservation, or ("") to those of none.
class Closures {
 public:
  /// `nodes`: those of the timeline, in its order.
  Closures(const State& state, const std::vector<const NodeConfig*>& nodes, Time now);

  /// For PlaceRequest::closed: per node ascending, disjoint intervals; nullptr: no node is ever closed to them. Stays valid. O(log) when known.
  const std::vector<std::vector<Interval>>* closed_to(const std::string& reservation);
  /// Whether a job that names this reservation could be on the node at all; with "" it always could.
  bool may_use(const std::string& reservation, std::size_t node) const;
  /// Of those that close one of the `nodes` to jobs without reservation in [start, start + length): the one that ends first. nullptr: none does.
  const Reservation* first_in_the_way(const std::vector<std::size_t>& nodes, Time start, Duration length) const;

 private:
  struct Kept {
    const Reservation* reservation;
    std::vector<std::size_t> nodes;  // ascending
  };

  std::size_t node_count_;
  std::vector<Kept> kept_;  // not over yet; by end, then by name
  std::map<std::string, std::vector<std::vector<Interval>>> closed_;
};

/// nullptr: the job names none, it is over, or it is not (any more) for its account.
const Reservation* reservation_of(const State& state, const Job& job);

/// Whether it is certain that the job can't end by its deadline with all of its time limit used: not even if it started now.
bool misses_deadline(const Job& job, Time now);

/// Before this the job may not start: it asked so, or it failed and is tried again after a while.
std::optional<Time> not_before(const Job& job);

/// When time alone may change what can be done with a queued job: it may begin, or it misses its deadline. nullopt: never again.
std::optional<Time> next_date(const Job& job, Time now);
/// The same for all jobs: a reservation begins or ends, a month of a limit per month ends.
std::optional<Time> next_date(const State& state, Time now);

}  // namespace ultramarine::core
