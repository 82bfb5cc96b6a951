// A gang inside a job, from its start to its end: what its ranks print, Ctrl-C as a wish to stop it, its exit code. The scheduler may restart
// meanwhile.
#pragma once

#include "scheduler/cli/client.h"
#include "scheduler/cli/job_output.h"
#include "scheduler/cli/verb.h"

namespace ultramarine::cli {

/// Until the gang has finished; the exit code. The first signal stops it, the second leaves it to its end. `silent`: an end with the ranks' own code
/// is no news.
int stay_with_gang(const JobName& job, std::int64_t gang, OutputForm form, Context& context, bool silent = false);

/// A line on stderr when it ended badly. The exit code.
int say_end_of_gang(const JobName& job, std::int64_t gang, const protocol::GangView& view, Context& context);

}  // namespace ultramarine::cli
