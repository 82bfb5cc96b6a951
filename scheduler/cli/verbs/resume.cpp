// ultra resume: drained nodes take jobs again.
#include "scheduler/cli/client.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/words.h"

namespace ultramarine::cli {
namespace {

int resume(const Arguments& arguments, Context& context) {
  const auto answer = Client(context.socket).resume(arguments.positionals);
  if (arguments.has("--json")) {
    context.out << answer.body << '\n';
    return exit_code::ok;
  }
  for (const protocol::NodeView& view : answer.value.nodes) {
    const std::string& name = view.node.config.name;
    context.out << (view.node.state == NodeState::up ? spoken("{0} takes jobs again.", name)
                                                     : spoken("{0} is not drained any more, but it is {1}.", name, word(view.node.state)))
                << '\n';
  }
  return exit_code::ok;
}

}  // namespace

Verb resume_verb() {
  return {.path = "resume",
          .summary = "have drained nodes take jobs again",
          .positionals = Positionals::some_nodes,
          .options = {json_option("the API's list of these nodes")},
          .details = "For admins.\nExamples:\n  ultra resume node07\n  ultra resume node[01-04]",
          .run = resume};
}

}  // namespace ultramarine::cli
