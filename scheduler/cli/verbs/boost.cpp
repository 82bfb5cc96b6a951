// ultra boost: puts a job ahead of all others, once what that costs them has been seen. ultra extend: gives a job more time, likewise.
#include "scheduler/cli/language.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/verbs/favour.h"

namespace ultramarine::cli {
namespace {

int boost(const Arguments& arguments, Context& context) {
  protocol::FavourRequest request{.favour = Favour::boost, .job = arguments.job_names().front().text, .time_ms = arguments.duration("--for"), .reservation = {},
                                  .reason = reason_of(arguments, "a demonstration tomorrow"), .token = {}};
  std::string command = "ultra boost " + request.job + " --reason " + shell_quoted(request.reason);
  if (const auto time = arguments.text("--for")) command += " --for " + *time;
  return ask_favour(std::move(request), command, arguments, context);
}

int extend(const Arguments& arguments, Context& context) {
  const auto more = arguments.duration("--by");
  if (!more) usage_error("--by", spoken("none given"), spoken("write for example {0}", "--by 2h"));
  protocol::FavourRequest request{.favour = Favour::extend, .job = arguments.job_names().front().text, .time_ms = more, .reservation = {},
                                  .reason = reason_of(arguments, "its last epoch takes longer"), .token = {}};
  const std::string command = "ultra extend " + request.job + " --by " + *arguments.text("--by") + " --reason " + shell_quoted(request.reason);
  return ask_favour(std::move(request), command, arguments, context);
}

std::vector<Option> with(Option first) {
  std::vector<Option> options = favour_options();
  options.insert(options.begin(), std::move(first));
  return options;
}

}  // namespace

Verb boost_verb() {
  return {.path = "boost",
          .summary = "put a job ahead of all others, once you have seen what it costs them",
          .positionals = Positionals::one_job,
          .options = with({"--for", "LENGTH", "How long it stays ahead at most (default 24h, at most 7d); its start ends it in any case"}),
          .details =
              "For managers, within their monthly budget, and admins. First it prints the bill: whose planned starts move later, and by how much. A boost that "
              "delays nobody is granted at once; any other wants the bill's token (--confirm), and is refused when it costs the others more by then. The bill "
              "stays in the journal; who is delayed sees it in 'ultra why'.\n"
              "Examples:\n  ultra boost 12 --reason 'a demonstration tomorrow'\n  ultra boost 12 --reason 'a demonstration tomorrow' --confirm TOKEN",
          .run = boost};
}

Verb extend_verb() {
  return {.path = "extend",
          .summary = "give a job more time, once you have seen what it costs the others",
          .positionals = Positionals::one_job,
          .options = with({"--by", "LENGTH", "So much longer: 2h (mandatory)"}),
          .details =
              "For admins. First it prints the bill: whose planned starts move later, and by how much. More time that delays nobody is granted at once; any "
              "other wants the bill's token (--confirm).\n"
              "Examples:\n  ultra extend 12 --by 2h --reason 'its last epoch takes longer'",
          .run = extend};
}

}  // namespace ultramarine::cli
