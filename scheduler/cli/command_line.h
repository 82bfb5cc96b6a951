// From an argument vector to a verb and its arguments. Sub-commands, options and help come from the list of verbs;
// every mistake is one line that names the word at fault and the nearest right one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "scheduler/cli/verb.h"

namespace ultramarine::cli {

struct CommandLine {
  const Verb* verb = nullptr;  // null: print `text`
  std::string text;            // help
  bool text_is_error = false;  // help because the verb is missing: stderr, exit code usage
  Arguments arguments;
  std::optional<std::string> socket;
  ColourMode colour = ColourMode::automatic;
};

/// `words` without the program's name. Throws CommandError (usage).
CommandLine parse_command_line(const std::vector<Verb>& verbs, const std::vector<std::string>& words);

/// Parses and runs. What goes wrong becomes one line on `err` and its exit code. `terminal`: see terminal.h.
int run_command_line(const std::vector<std::string>& words, std::map<std::string, std::string> environment,
                     std::ostream& out, std::ostream& err, const std::function<Terminal(ColourMode)>& terminal,
                     std::function<Time()> now);

}  // namespace ultramarine::cli
