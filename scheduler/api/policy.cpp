// The policy that the scheduler runs with, as data. Its budgets name managers, so it is for callers with identity.
#include "scheduler/api/handlers.h"

namespace ultramarine::api {

void show_policy(const ExchangePtr& exchange) {
  exchange->backend.ask([exchange](const SnapshotPtr& snapshot) { exchange->answer(snapshot->state->policy); });
}

}  // namespace ultramarine::api
