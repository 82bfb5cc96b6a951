// The page of `ultra show`, for whoever else wants to show it.
#pragma once

#include "scheduler/cli/verb.h"
#include "scheduler/protocol/api_messages.h"

namespace ultramarine::cli {

/// Everything about one job, in sections, to `context.out`.
void write_job(const protocol::JobView& view, Context& context);

}  // namespace ultramarine::cli
