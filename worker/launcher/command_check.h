// Finds the program that a command names and checks that it and the working directory are there, so that a job that can't start
// says so before any rank of it runs.
#pragma once

#include <string>
#include <vector>

#include "worker/launcher/rank_environment.h"

namespace ultramarine::launcher {

struct CommandCheck {
  std::string program;  // absolute path, when there is no problem
  std::string problem;  // one sentence with the remedy, or ""
};

/// Looks `command[0]` up as a shell would: with a slash from `working_directory`, else along the environment's PATH (relative
/// entries count from the working directory). `node` is for the messages.
CommandCheck check_command(const std::vector<std::string>& command, const std::string& working_directory, const Environment& environment,
                           const std::string& node);

/// Why ranks on `node` can't work in this folder; "" when they can.
std::string working_directory_problem(const std::string& working_directory, const std::string& node);

/// What is wrong with a program that the system refused to run with `error_number`.
std::string refused_program(const std::string& program, int error_number, const std::string& node);
std::string refused_directory(const std::string& directory, int error_number, const std::string& node);

}  // namespace ultramarine::launcher
