// A script that was submitted as a file: its text is written beside the launch and run by its own #! line, as the kernel reads it.
// What would make the kernel refuse it is found here first, so that it can be said in a sentence.
#pragma once

#include <string>

#include "worker/launcher/rank_environment.h"

namespace ultramarine::launcher {

/// Why `text` can't be run as a script on `node`, in one sentence with the remedy; "" when it can. Relative interpreters count from
/// `working_directory`; what `env` is to find is looked up along the environment's PATH.
std::string script_problem(const std::string& text, const std::string& working_directory, const Environment& environment,
                           const std::string& node);

/// Writes the text to `path`, 0700. Throws FolderError.
void write_script(const std::string& path, const std::string& text);

}  // namespace ultramarine::launcher
