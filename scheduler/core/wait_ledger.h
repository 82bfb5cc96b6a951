// The wait ledger: what every job has waited for, split by cause so that the parts always sum to its wait, to the millisecond. The one idea: a fold
// beside the state that is shown the entries of the journal and, now and then, a plan. Every interval of a job's wait is charged whole to what
// its plan line at the interval's beginning says that it waits for (wait_causes has that rule); of an interval that several share, the
// milliseconds that don't divide go to the first. Intervals begin and end
//   - with the wait: when the job is submitted or comes back from an attempt, and at the very instant of the decision that starts it (or of its end)
//   - when it is held or released
//   - at looks, where what it waits for has changed.
// From a submission, a return or a release until the first look it is the scheduler's own time, and so is what follows a look that says "starts now".
// When to look follows from the journal alone: as soon after the last look as the queue is short (a millisecond for ten jobs that wait), and only
// after something has happened; while nothing happens, causes stay. So the same journal gives the same ledger, whoever folds it. What nobody watched
// (a ledger that begins beside a state, not at the beginning of the journal) is charged as the first look says.
// A job that waited for very many others keeps the names of those that it waited for longest; the rest are summed by cause and account.
// Belongs to no state; what the journal keeps of it is the event WaitsAccounted.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "scheduler/core/wait_causes.h"
#include "scheduler/model/event.h"
#include "scheduler/model/plan.h"
#include "scheduler/model/state.h"

namespace ultramarine::core {

/// How long the job has waited until `now`: submitted, or back from an attempt, until decided or ended, all of it together.
Duration wait_of(const Job& job, Time now);

Duration sum_of(const std::vector<WaitPart>& parts);
/// The same sums, longest first, with at most so many jobs named.
std::vector<WaitPart> merged(std::vector<WaitPart> parts, std::size_t named_max);
constexpr std::size_t recorded_jobs_max = 12;

class WaitLedger {
 public:
  WaitLedger() = default;
  /// Goes on beside a state as it is at `now`, with what that has of its jobs' waits.
  WaitLedger(const State& state, Time now);

  /// After `entry` was applied: `after` is the state with it.
  void on_entry(Time now, const Entry& entry, const State& after);
  /// When a plan is wanted, if anything has happened since the last: no entry of that time is missing, once a later one is there. To be asked
  /// before an entry is applied; if its time is later, `on_plan` comes first.
  std::optional<Time> looks_at() const;
  /// `plan` is the state's, complete. Looking twice at the same time is as good as once. O(jobs that wait x log).
  void on_plan(const State& state, const Plan& plan);

  /// The wait of a job that waits, until `now`, which is no earlier than the last entry. Empty for others.
  std::vector<WaitPart> parts_of(JobId job, Time now) const;
  /// The same of all that wait.
  std::vector<AccountedWait> open(Time now) const;
  /// Waits that are over and were not recorded so far (the event WaitsAccounted says that they are). By job; who didn't wait at all isn't there.
  const std::map<JobId, AccountedWait>& finished() const { return finished_; }

 private:
  struct Wait {
    Time until;                    // charged so far
    Causes causes;                 // from then on; empty: no look so far, nobody watched
    std::vector<WaitPart> parts;
    Duration owed;                 // of earlier times that nobody watched
  };

  void settle(const Job& job, Time now);
  void open_wait(const Job& job, Time now);
  static void charge(Wait& wait, Time now);

  std::map<JobId, Wait> open_;
  std::map<JobId, AccountedWait> finished_;
  std::set<JobId> active_;
  std::optional<Time> changed_at_;  // the newest entry since the last look
  Time looked_at_, next_look_;
};

}  // namespace ultramarine::core
