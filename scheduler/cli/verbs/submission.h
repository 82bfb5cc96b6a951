// What `ultra submit` sends, made from its arguments and the shell's environment. Pure, so that tests can read the
// request.
#pragma once

#include <string>

#include "scheduler/cli/verb.h"
#include "scheduler/protocol/api_messages.h"

namespace ultramarine::cli {

/// Everything but the request_key. `current_folder` is the default working directory. `warning`: filled in when
/// variables can't travel. Throws CommandError (usage) that names the option.
protocol::SubmitRequest submission(const Arguments& arguments, const std::map<std::string, std::string>& environment,
                                   const std::string& current_folder, std::string& warning);

}  // namespace ultramarine::cli
