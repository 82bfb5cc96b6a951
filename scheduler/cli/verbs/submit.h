// What `ultra submit` would send, for whoever only wants to know what would come of it.
#pragma once

#include "scheduler/cli/verb.h"
#include "scheduler/cli/verbs/submission.h"

namespace ultramarine::cli {

/// From a script, a job file or a command; warnings are said. Complete, unless --dry-run is given. Throws CommandError.
Submission submission_of(const Arguments& arguments, Context& context);

}  // namespace ultramarine::cli
