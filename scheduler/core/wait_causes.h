// Why a job that waits does not run now, as parts of its wait ledger: whom it waits for, or what. The rule, in the order in which it is asked:
//  1. What lies in itself or in the rules says so by the reason of its plan line: a hold, a dependency, its array's limit, a date, a delay after a
//     failure, a limit, a soft cap, a reservation, nodes that are away (which), a shape that nothing free has.
//  2. Its GPUs are free, but are kept for jobs ahead of it (reason `priority`): it waits for those that are to get GPUs, free now and open to it,
//     before it could have ended; where nobody's place is planned, for the first of those that wait their turn.
//  3. Too few GPUs are free: of the GPUs that it is planned to get those count on which somebody's stay ends just when its own is to begin, for the
//     others it would not have to wait. Of each it waits for who has it now; if nobody has it, or only one who was let pass (by backfill, or for a trial), for the first
//     job ahead of it that is to get it. Where nobody's place is planned it waits for all who hold GPUs that it might use.
//  4. Several share an interval by the number of these GPUs.
// Who held its GPUs before the job came is a running job; who got them since, or is to get them, is ahead of it; ahead by a boost alone is named so.
// Looks into a state and its plan; changes and keeps nothing.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "scheduler/core/eligible.h"
#include "scheduler/core/fair_share.h"
#include "scheduler/core/policy/policies.h"
#include "scheduler/model/plan.h"
#include "scheduler/model/state.h"

namespace ultramarine::core {

/// A part of a wait without its time, and its share of an interval.
struct CauseShare {
  WaitPart part;
  std::int64_t weight = 1;
  bool operator==(const CauseShare&) const = default;
};
using Causes = std::vector<CauseShare>;  // never empty

/// Since when the job waits, or waited last: submitted, or back from its last attempt.
Time queued_since(const Job& job);

/// What a hold says of itself: who, and why.
Causes causes_of_hold(const Job& job);
Causes whole(WaitCause cause);

/// It looks into what it was made from, and must not outlive it.
class WaitCauses {
 public:
  /// `plan` is the state's, complete; `active`: the state's jobs that hold devices. O(planned devices x log).
  WaitCauses(const State& state, const Plan& plan, ActiveJobs active);
  /// Of one of the plan's lines. O(devices of the cluster) at most.
  Causes of(const PlannedJob& line);

 private:
  /// Somebody's time on a device, from `start` on until `end`.
  struct Use {
    Time start, end;
    const Job* job = nullptr;
    std::int64_t position = 0;  // in the plan; 0: it runs
  };
  using Device = std::vector<Use>;  // ascending
  /// What jobs that may use the same nodes have in common.
  struct Neighbourhood {
    std::vector<std::string> nodes;
    std::vector<const Use*> kept;                 // of every device that is free now the next use, ascending by start
    std::map<JobId, std::int64_t> held;           // running job -> devices
  };
  using Counts = std::map<JobId, std::int64_t>;   // job -> devices

  void enter(const Allocation& allocation, const Use& use);
  const Neighbourhood& neighbourhood_of(const JobSpec& spec);
  Counts kept_for_others(const Job& job, const PlannedJob& line);
  Counts in_the_way(const Job& job, const PlannedJob& line);
  const Use* blocker(const Device& device, const Job& job, std::int64_t position, Time start);
  Causes by_counts(const Counts& counts, const Job& job);
  WaitPart part_for(const Job& other, const Job& job);
  std::optional<std::int64_t> boost_of(const Job& other) const;
  bool is_behind(const Job& other, const Job& job);
  Causes away(const Job& job);

  const State& state_;
  const Plan& plan_;
  const ActiveJobs active_;
  std::map<std::string_view, std::vector<Device>> nodes_;
  std::optional<JobId> first_in_turn_;  // the first that has no planned start and waits for nothing but devices
  std::map<RequestClass, Neighbourhood, ByRequestClass> neighbourhoods_;
  std::optional<policy::Policies> policies_;
};

}  // namespace ultramarine::core
