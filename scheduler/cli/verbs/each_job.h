// What cancel, hold and release have in common: one change, done to each job that was named.
#pragma once

#include <functional>
#include <string>

#include "scheduler/cli/client.h"
#include "scheduler/cli/verb.h"

namespace ultramarine::cli {

/// The same for what is a favour where the job is another's: then its bill comes first (see favour.h).
int do_to_each_job(Favour favour, const Arguments& arguments, Context& context, const std::function<Answer<protocol::JobView>(Client&, const JobName&)>& change,
                   const std::function<std::string(const JobName&, const protocol::JobView&)>& sentence);

/// Does `change` to each of the jobs; a refusal of one of several is said, and the others go on. Prints a `sentence` for each, or with --json the
/// API's job (of several: a list). Returns the first refusal's exit code, or 0.
int change_each_job(const Arguments& arguments, Context& context, const std::function<Answer<protocol::JobView>(Client&, const JobName&)>& change,
                    const std::function<std::string(const JobName&, const protocol::JobView&)>& sentence);

}  // namespace ultramarine::cli
