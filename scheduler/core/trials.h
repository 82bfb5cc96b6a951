// Who has his first minutes at once: a new job that has to wait may run for a little while on a few GPUs that nobody's plan needs meanwhile, so
// that a typo shows in seconds. The one idea: a trial takes its place after everybody has one, in what is left of the complete calendar, and ends
// before its own job's planned start; so it moves nobody, ahead or behind, in time or in space. While it runs the planner keeps the job's place.
// Knows what the policy says of trials and who may have one; knows nothing of how a plan is made.
#pragma once

#include <optional>
#include <vector>

#include "scheduler/core/limits.h"
#include "scheduler/core/roster.h"
#include "scheduler/core/timeline.h"
#include "scheduler/model/event.h"
#include "scheduler/model/state.h"

namespace ultramarine::core {

/// What the policy gives.
struct TrialRule {
  Duration length;                // that a job's ranks may run
  std::int64_t gpus_per_job = 1;  // at most
  std::int64_t gpus_at_once = 0;  // of all trials together, at most
};

/// nullopt: no trials. There are some only where everybody has a planned start that can be kept: with conservative backfill and nobody who yields.
std::optional<TrialRule> trial_rule(const State& state, const policy::Policies& policies);

/// How many GPUs of one node a job's trial may have.
struct TrialSize {
  std::int64_t least = 1, most = 0;
};

/// nullopt: the job gets no trial. It has been tried or started before, its owner wants none, or it can't run on another number of GPUs than it asked
/// for: its ranks are numbered otherwise (`ranks`, `ranks_per_node`), it wants whole nodes, a reservation, a terminal, or more GPUs at least than a
/// trial has. Of an array only the first element is tried: the others run the same program.
std::optional<TrialSize> trial_size(const Job& job, const TrialRule& rule);

class Trials {
 public:
  /// Of the state that the roster is prepared for.
  Trials(const State& state, Roster& roster, Time now);

  bool are_left() const { return gpus_left_ > 0; }  // the policy gives some, and not all GPUs for them are taken

  /// Whether somebody of the queue could have one, by what is taken in the calendar so far: if not, it needn't be completed. O(queue).
  bool are_possible(const Timeline& timeline);

  /// In the queue's order. `timeline` and `limits` hold the stays of all who run and all who are planned, and take those of the trials.
  /// `planned`: by position in the queue, when each job starts; nullopt: it has no planned start, and gets no trial.
  std::vector<StartJob> choose(Timeline& timeline, LimitCalendar& limits, const std::vector<std::optional<Time>>& planned);

 private:
  bool is_in_turn(const Job& job) const;
  bool may_have_one(const Candidate& waits) const;
  Duration length_of(const JobSpec& spec) const;
  Duration stay_of_trial(const JobSpec& spec) const;
  std::optional<Fit> place(const Candidate& waits, Timeline& timeline, LimitCalendar& limits) const;

  const State& state_;
  Roster& roster_;
  const Time now_;
  const std::optional<TrialRule> rule_;
  std::int64_t gpus_left_ = 0;
};

}  // namespace ultramarine::core
