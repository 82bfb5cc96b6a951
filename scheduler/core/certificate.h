// Non-harm certificates: for each job that starts ahead of others, what the plan just before the round and the plan just after it say of those. Both
// are of the same instant, so nothing but the round lies between them.
// Whoever doubts them derives them again from the journal, or asks certificate_check, which knows nothing of planning.
#pragma once

#include <vector>

#include "scheduler/model/certificate.h"
#include "scheduler/model/event.h"
#include "scheduler/model/plan.h"

namespace ultramarine::core {

/// A certificate with the jobs that it is about.
struct Overtaking {
  Certificate certificate;
  std::vector<JobId> overtaken;  // in the plan's order
};

/// Whether the round starts somebody ahead of others, so that plans are worth making.
bool overtakes(const Round& round);

/// One for each start of the round that is ahead of others, and for each trial. O(starts x jobs of the plan).
std::vector<Overtaking> certify(const Plan& before, const Round& round, const Plan& after);

}  // namespace ultramarine::core
