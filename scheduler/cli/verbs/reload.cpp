// ultra reload: the scheduler reads its cluster file and policy anew, whole or not at all.
#include "scheduler/cli/client.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/verb.h"

namespace ultramarine::cli {
namespace {

int reload(const Arguments& arguments, Context& context) {
  const bool check = arguments.has("--check");
  const auto answer = Client(context.socket).reload(check);
  if (arguments.has("--json")) {
    context.out << answer.body << '\n';
    return exit_code::ok;
  }
  for (const std::string& line : answer.value.changes) context.out << printable(heard(line)) << '\n';
  context.err << (answer.value.changes.empty() ? spoken("Nothing differs from what the scheduler runs with.")
                  : check                      ? spoken("The files are good. Nothing was changed: {0} would take effect with '{1}'.", spoken_count(static_cast<std::int64_t>(answer.value.changes.size()), "{0} change", "{0} changes"), "ultra reload")
                                               : spoken("{0} took effect.", spoken_count(static_cast<std::int64_t>(answer.value.changes.size()), "{0} change", "{0} changes")))
              << '\n';
  return exit_code::ok;
}

}  // namespace

Verb reload_verb() {
  return {.path = "reload",
          .summary = "have the scheduler read its cluster file and policy anew",
          .options = {{"--check", "", "Say what would change, and change nothing"}, json_option("the API's answer")},
          .details =
              "For admins. The files are taken over whole or not at all; a mistake is named with file, line and column. Jobs run on. Jobs that "
              "wait in a partition that is gone are held until it is back. Addresses, sockets and the state directory need a restart.\n"
              "Examples:\n  ultra reload --check\n  ultra reload",
          .run = reload};
}

}  // namespace ultramarine::cli
