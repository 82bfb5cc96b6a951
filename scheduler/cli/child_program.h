// Another program as a function: its arguments and input go in, what it says and how it ends come out.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "scheduler/cli/interrupt.h"

namespace ultramarine::cli {

struct ProgramEnd {
  int code = 0;    // of its exit; valid when signal is 0
  int signal = 0;  // that ended it
  std::string out, err;
};

/// Runs `arguments` (the first is looked for in PATH, unless it has a slash) in `folder` ("": here) with `input` as its
/// stdin, and waits for its end. nullopt: there is no such program. Throws CommandError when it can't be started, and
/// Interrupted when `interrupt` was raised, once it has ended for that.
std::optional<ProgramEnd> run_program(const std::vector<std::string>& arguments, const std::string& input,
                                      const std::string& folder = "", const Interrupt* interrupt = nullptr);

}  // namespace ultramarine::cli
