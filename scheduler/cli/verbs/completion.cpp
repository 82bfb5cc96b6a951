// ultra completion: the Tab key of bash, zsh and fish.
#include "scheduler/cli/completion.h"

#include "scheduler/cli/language.h"
#include "scheduler/cli/nearest.h"

namespace ultramarine::cli {
namespace {

int completion(const Arguments& arguments, Context& context) {
  if (arguments.positionals.empty())
    usage_error("SHELL", spoken("none given"), spoken("give one of {0}", "bash, zsh, fish"));
  const std::string& shell = arguments.positionals.front();
  if (shell == "words") {
    const std::vector<std::string> words(arguments.positionals.begin() + 1, arguments.positionals.end());
    for (const Candidate& one : candidates(all_verbs(), words, context))
      context.out << printable(one.word) << (one.description.empty() ? "" : "\t" + printable(one.description)) << '\n';
    return exit_code::ok;
  }
  const std::string script = completion_script(shell);
  if (script.empty() || arguments.positionals.size() > 1) {
    const std::string& wrong = script.empty() ? shell : arguments.positionals[1];
    usage_error("SHELL", spoken("\"{0}\" is not known", wrong),
                did_you_mean(wrong, {"bash", "zsh", "fish"}, spoken("give one of {0}", "bash, zsh, fish")));
  }
  context.out << script;
  return exit_code::ok;
}

}  // namespace

Verb completion_verb() {
  return {.path = "completion",
          .summary = "print what makes the Tab key of a shell know ultra",
          .positionals = Positionals::shell,
          .options = {},
          .details =
              "Verbs, options and values, and numbers of jobs and names of nodes as the scheduler has them (it is "
              "given 300 ms).\n"
              "'ultra completion words WORD...' prints what could stand in the place of the last word; the scripts ask "
              "it.\n"
              "Examples:\n  source <(ultra completion bash)\n  source <(ultra completion zsh)\n  ultra completion fish "
              "| source",
          .run = completion};
}

}  // namespace ultramarine::cli
