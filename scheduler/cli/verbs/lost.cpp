// ultra lost: unreachable nodes are off, says somebody who knows; what ran there is over.
#include "scheduler/cli/client.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/verb.h"

namespace ultramarine::cli {
namespace {

int lost(const Arguments& arguments, Context& context) {
  const auto reason = arguments.text("--reason");
  if (!reason) {
    usage_error("--reason", spoken("none given"), spoken("say why: {0}", "--reason 'its power supply is burnt'"));
  }
  const auto answer = Client(context.socket).lose(arguments.positionals, *reason);
  if (arguments.has("--json")) {
    context.out << answer.body << '\n';
    return exit_code::ok;
  }
  for (const protocol::NodeView& view : answer.value.nodes)
    context.out << spoken("{0} counts as lost: what ran on it is over, and queues again where its restarts allow it.", view.node.config.name) << '\n';
  return exit_code::ok;
}

}  // namespace

Verb lost_verb() {
  return {.path = "lost",
          .summary = "say that unreachable nodes are off, so that their jobs go on elsewhere",
          .positionals = Positionals::some_nodes,
          .options = {{"--reason", "TEXT", "How you know, for those who wonder (mandatory)"}, json_option("the API's list of these nodes")},
          .details =
              "For admins. A node that can't be reached may still be running its jobs: until it answers, only somebody who has looked can say that it doesn't. "
              "Switch it off first: a job that still runs there would run twice. When the node answers again, it takes jobs as before.\n"
              "Examples:\n  ultra lost node07 --reason 'its power supply is burnt'",
          .run = lost};
}

}  // namespace ultramarine::cli
