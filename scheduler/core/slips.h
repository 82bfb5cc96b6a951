// Planned starts that move later, each counted once and under one cause. Harm is the one that must not be: a start that moved because a
// job below it started (`overtaken`). The one idea: whoever has plans shows them as they come, and the entries in between; what was
// promised last is compared with what is promised now. A plan before and after each entry gives the exact cause; of several that
// apply, the first in the list of causes is taken, so that harm is named only when nothing else explains it. Belongs to no state.
#pragma once

#include <array>
#include <boost/describe.hpp>
#include <map>
#include <optional>
#include <vector>

#include "scheduler/model/event.h"
#include "scheduler/model/plan.h"
#include "scheduler/model/state.h"

namespace ultramarine::core {

///  node_loss      a node fell silent, was drained, or came back
///  reservation    a reservation was made or ended
///  configuration  another cluster file or policy, or a new month for the limits that count in months
///  boost          somebody with the right to do so put a job ahead, or gave one more time
///  order_change   a job that was below is above now: other priorities at a tick, or its owner's own reordering
///  arrival_above  a job came in above it: submitted, requeued, released, or all that it waited for has come
///  early_end      who held or was to get devices needs less than planned (ended early, was cancelled, held or edited), and who took its place is in the way
///  late_end       a launch took longer than planned for, or an attempt stays beyond its time
///  overtaken      a job below it started: harm
BOOST_DEFINE_FIXED_ENUM_CLASS(SlipCause, std::uint8_t, node_loss, reservation, configuration, boost, order_change, arrival_above, early_end, late_end,
                              overtaken)
constexpr std::size_t slip_causes = 9;

struct Slip {
  JobId job;
  Duration later;  // more than 0
  SlipCause cause = SlipCause::overtaken;
  bool operator==(const Slip&) const = default;
};

class SlipCounter {
 public:
  /// After `entry` was applied: `after` is the state with it.
  void on_entry(const Entry& entry, const State& after);
  /// `plan` is the state's, complete. Returns the slips since the last plan that was shown, in the plan's order. A job that has no
  /// planned start meanwhile (its nodes are away) keeps what it was promised; one that somebody holds starts anew.
  /// O(queued jobs + all jobs of the state).
  std::vector<Slip> on_plan(const State& state, const Plan& plan);
  /// Over all slips so far.
  Duration total(SlipCause cause) const { return totals_[static_cast<std::size_t>(cause)]; }
  Duration harm() const { return total(SlipCause::overtaken); }

 private:
  using Causes = std::array<bool, slip_causes>;
  struct Promise {
    std::int64_t position = 0;       // in the last plan
    bool in_line = false;            // others were planned around it
    std::optional<Time> start;
    std::optional<SlipCause> taken;  // why there is no start at the moment
  };

  std::map<JobId, Promise> promises_;
  Causes happened_{};  // since the last plan, to everybody alike
  std::int64_t lowest_started_ = 0;  // the last place in the last plan of a job that has started since
  bool starts_may_follow_another_order_ = false;  // a tick of the priorities lies between that plan and their round
  Time looked_at_;                   // the last plan
  std::array<Duration, slip_causes> totals_{};
};

}  // namespace ultramarine::core
