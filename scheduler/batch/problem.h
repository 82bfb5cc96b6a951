// What is wrong with what somebody wrote in a script, an environment variable or a command line: where, what, and the remedy.
#pragma once

#include <stdexcept>
#include <string>

namespace ultramarine::batch {

/// `what()`: "job.sh:7: --time: \"soon\" is no length of time; write for example 2:00:00". `where` says place and option.
struct Problem : std::runtime_error {
  Problem(std::string where_, std::string problem_, std::string remedy_)
      : std::runtime_error(where_ + ": " + problem_ + (remedy_.empty() ? "" : "; " + remedy_)),
        where(std::move(where_)),
        problem(std::move(problem_)),
        remedy(std::move(remedy_)) {}
  std::string where, problem, remedy;
};

}  // namespace ultramarine::batch
