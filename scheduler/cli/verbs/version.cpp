// ultra version: of this program.
#include "scheduler/cli/manual.h"
#include "scheduler/cli/verb.h"

namespace ultramarine::cli {

std::string version_text() { return ULTRAMARINE_VERSION; }

Verb version_verb() {
  return {.path = "version",
          .summary = "print the version of this program",
          .options = {json_option("{\"version\": ...}")},
          .details = "'ultra cluster status' also says the scheduler's version.",
          .run = [](const Arguments& arguments, Context& context) {
            if (arguments.has("--json"))
              context.out << "{\"version\":\"" << ULTRAMARINE_VERSION << "\"}\n";
            else
              context.out << "ultra " << ULTRAMARINE_VERSION << '\n';
            return exit_code::ok;
          }};
}

}  // namespace ultramarine::cli
