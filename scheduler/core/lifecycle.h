// The lives of jobs and nodes: which state may follow which, and what each entry of the journal does to the state.
// The only code that changes a State. Knows no policy and plans nothing.
#pragma once

#include "scheduler/model/event.h"
#include "scheduler/model/state.h"

namespace ultramarine::core {

/// Who did it when nobody else has.
inline const Actor by_the_scheduler{.uid = -1, .name = "scheduler", .channel = "scheduler"};

/// Whether a job may go from one state to another.
bool may_follow(JobState from, JobState to);

/// It is in the queue, held or not.
constexpr bool waits(const Job& job) { return job.state == JobState::queued || job.state == JobState::held; }

/// The attempt that holds devices now, or nullptr.
const Attempt* open_attempt(const Job& job);

/// Has the request ask for what the change says.
void change(JobSpec& spec, const JobChange& change);

/// It holds devices for its trial alone and is to queue again after that: it keeps its place among those that wait.
bool is_in_trial(const Job& job);

/// How long the ranks of an attempt may run.
Duration time_limit(const Job& job, const Attempt& attempt);

void apply_entry(State& state, Time now, const Entry& entry);

}  // namespace ultramarine::core
