// What becomes of a job whose attempt failed: whose fault it was, whether it is tried again, when and where; and which
// ends of a trial are no failure. Part of lifecycle, which alone calls it.
#pragma once

#include <optional>

#include "scheduler/model/cluster.h"
#include "scheduler/model/job.h"

namespace ultramarine::core {

/// Whether a trial that ends so is no failure of its job. Too little memory on few GPUs says nothing of the many that it asks for.
bool is_end_of_trial(const Attempt& attempt, Outcome outcome);
/// Its ranks are being stopped because its time was over, or too little memory was there.
bool is_trial_ending(const Job& job);
/// That its time was over is all that there is to say of it.
void forget_failure(Attempt& attempt);

/// Whether a job whose attempt failed so would be tried again.
bool may_restart(const Job& job, Outcome outcome, const std::optional<Failure>& failure);
/// Whether the job, whose last attempt has just ended, is tried again; if so, notes when and where. Who got no further in too many attempts waits
/// for his owner.
bool restarts(const TimeoutsConfig& timeouts, Job& job, Time now);

}  // namespace ultramarine::core
