// What the follower of the journal knows beside the state: the ledgers of waits and the certificates of overtakings. Questions run on its thread and
// see this, of one moment.
#pragma once

#include <map>
#include <vector>

#include "scheduler/core/certificate.h"
#include "scheduler/core/wait_ledger.h"
#include "scheduler/model/state.h"

namespace ultramarine::api {

/// Who passed a job that waits or waited.
struct Passed {
  std::int64_t times = 0;
  JobId last;  // by whom
};

struct Followed {
  const State& state;
  const core::WaitLedger& waits;
  const std::map<JobId, Certificate>& certificates;  // of running and of recently ended jobs
  const std::map<JobId, Passed>& passed;             // of jobs that have not ended
  Time now_ms;                                       // no earlier than the newest entry
};

/// What a job has waited for until now: the parts sum to its wait. What was never recorded is the scheduler's, and says so.
std::vector<WaitPart> waits_of(const Followed& followed, const Job& job);

}  // namespace ultramarine::api
