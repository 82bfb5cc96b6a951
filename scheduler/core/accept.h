// Whether a request can be accepted, before it becomes an event: defaults filled in, or the field that is wrong and the remedy.
#pragma once

#include <optional>
#include <variant>

#include "scheduler/core/scheduler.h"

namespace ultramarine::core {

std::variant<Accepted, Refusal> accept_request(const State& state, JobSpec spec, const Actor& actor, Time now);

/// What `ultra run` asks for.
std::variant<GangSpec, Refusal> accept_gang(GangSpec spec, const Job& job);

/// Why these can't be the indices of an array; nullopt: they can, or there are none.
std::optional<Refusal> refused_array(const std::vector<std::int64_t>& indices, std::int64_t limit);

}  // namespace ultramarine::core
