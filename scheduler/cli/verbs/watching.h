// What verbs with --watch have in common: they look again and again until Ctrl-C, and wait for a scheduler that went
// away.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "scheduler/cli/client.h"
#include "scheduler/cli/verb.h"

namespace ultramarine::cli {

Option watch_option();
Option interval_option();

/// How often to look; nullopt without --watch. Throws CommandError (usage).
std::optional<Duration> watch_interval(const Arguments& arguments);

struct Seen {
  std::string head;  // on a terminal a line above the text, after the time; "": none
  std::string text;  // whole lines
};
/// Shows what `look` sees, on a terminal in place, elsewhere one after the other. Returns the exit code.
int watch(Duration interval, Context& context, const std::function<Seen(Client&, const Terminal&)>& look);

}  // namespace ultramarine::cli
