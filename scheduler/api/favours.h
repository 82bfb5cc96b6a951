// What a manager may still displace by boosts.
#pragma once

#include <optional>

#include "scheduler/api/caller.h"
#include "scheduler/protocol/planning_messages.h"

namespace ultramarine::api {

/// Of a manager who is no admin: what the policy's boost_budgets give him a month (by name, by group, or * for each; nothing when none names him) and
/// what his boosts of this month have displaced. nullopt: he has no limit, or may not boost at all.
std::optional<protocol::BudgetView> budget_of(const Caller& caller, const State& state, std::int64_t scheduler_uid);

}  // namespace ultramarine::api
