// The page of `ultra show`, for whoever else wants to show it.
#pragma once

#include <string>

#include "scheduler/cli/verb.h"
#include "scheduler/protocol/api_messages.h"

namespace ultramarine::cli {

/// Everything about one job, in sections, to `context.out`. `price`: what it costs, in a sentence; "": nothing is said of it.
void write_job(const protocol::JobView& view, Context& context, const std::string& price = "");

}  // namespace ultramarine::cli
