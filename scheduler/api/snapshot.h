// What read questions see: the state after some journal record, the plan made from it and the ephemeral facts beside it. Immutable
// and shared; the daemon makes a new part only when that part has changed. Doesn't know who asks.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "scheduler/core/liveness.h"
#include "scheduler/model/plan.h"
#include "scheduler/model/state.h"

namespace ultramarine::api {

struct Snapshot {
  Time now_ms;
  Time started_ms;            // when this life of the scheduler began
  std::int64_t sequence = 0;  // the newest journal record that `state` contains
  std::string state_hash;
  std::shared_ptr<const State> state;
  std::shared_ptr<const Plan> plan;
  std::shared_ptr<const core::Liveness> liveness;
  std::string http, agents;  // where they listen
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;

}  // namespace ultramarine::api
