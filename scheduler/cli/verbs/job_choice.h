// What queue and timeline have in common: whose jobs are asked for, and what to say of names that nobody has.
#pragma once

#include "scheduler/cli/client.h"
#include "scheduler/cli/verb.h"

namespace ultramarine::cli {

/// --account, --user and --me. Throws CommandError (usage).
void choose_owner(const Arguments& arguments, JobFilter& filter);
/// " --user lexa: did you mean alexa?", of names that no job has; "" when there is nothing to say.
std::string near_owners(Client& client, const JobFilter& filter);

}  // namespace ultramarine::cli
