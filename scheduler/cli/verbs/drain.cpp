// ultra drain: nodes take no new jobs; what runs on them finishes.
#include "scheduler/cli/client.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/words.h"

namespace ultramarine::cli {
namespace {

std::string sentence(const protocol::NodeView& view) {
  const std::string& name = view.node.config.name;
  if (view.node.state == NodeState::drained) return spoken("{0} is drained.", name);
  if (view.node.state == NodeState::draining) return spoken("{0} takes no new jobs; those that run on it finish.", name);
  return spoken("{0} takes no jobs, also when it is back: it is {1}.", name, word(view.node.state));
}

int drain(const Arguments& arguments, Context& context) {
  const auto reason = arguments.text("--reason");
  if (!reason) {
    usage_error("--reason", spoken("none given"), spoken("say why: {0}", "--reason 'new fans'"));
  }
  const auto answer = Client(context.socket).drain(arguments.positionals, *reason);
  if (arguments.has("--json")) {
    context.out << answer.body << '\n';
    return exit_code::ok;
  }
  for (const protocol::NodeView& view : answer.value.nodes) context.out << sentence(view) << '\n';
  return exit_code::ok;
}

}  // namespace

Verb drain_verb() {
  return {.path = "drain",
          .summary = "have nodes take no new jobs",
          .positionals = Positionals::some_nodes,
          .options = {{"--reason", "TEXT", "Why, for those who wonder (mandatory)"}, json_option("the API's list of these nodes")},
          .details =
              "For admins. What runs on the nodes finishes. They stay drained, also when they are restarted, until 'ultra resume'.\n"
              "Examples:\n  ultra drain node07 --reason 'new fans'\n  ultra drain node[01-04] --reason 'kernel update'\n  ultra nodes --reasons",
          .run = drain};
}

}  // namespace ultramarine::cli
