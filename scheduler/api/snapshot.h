// What read questions see: the state after some journal record, the plan made from it and the ephemeral facts beside it. Immutable
// and shared; the daemon makes a new part only when that part has changed. Doesn't know who asks.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "scheduler/core/liveness.h"
#include "scheduler/model/plan.h"
#include "scheduler/model/state.h"
#include "scheduler/protocol/config.h"

namespace ultramarine::api {

/// Of one state; made when somebody first wants it, because hashing everything takes a while. Any thread.
class StateHash {
 public:
  const std::string& of(const State& state);

 private:
  std::once_flag once_;
  std::string text_;
};

struct Snapshot {
  Time now_ms;
  Time started_ms;            // when this life of the scheduler began
  std::int64_t sequence = 0;  // the newest journal record that `state` contains
  std::shared_ptr<StateHash> state_hash;
  std::shared_ptr<const State> state;
  std::shared_ptr<const Plan> plan;
  std::shared_ptr<const core::Liveness> liveness;
  std::string http, agents;  // where they listen
  std::shared_ptr<const protocol::NotificationsSection> notifications;  // what the cluster file says of them; secrets are in other files
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;

}  // namespace ultramarine::api
