// ultra events: what happened to a job, from its submission on, in words.
#include "scheduler/cli/client.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/words.h"

namespace ultramarine::cli {
namespace {

int events(const Arguments& arguments, Context& context) {
  const std::vector<JobName> asked_for = arguments.job_names();
  if (asked_for.size() > 1) usage_error("JOB", spoken("one job at a time"), spoken("give one job number"));
  const auto answer = Client(context.socket).events(asked_for.front());
  if (arguments.has("--json")) {
    context.out << answer.body << '\n';
    return exit_code::ok;
  }
  Table table({{spoken("TIME")}, {spoken("BY")}, {spoken("WHAT")}});
  for (const protocol::EventView& event : answer.value.events) {
    const bool is_bad = event.type == "gang_failed" || event.type == "gang_stalled" || event.type == "node_unreachable" || event.type == "reject_job";
    table.add({local_time(event.at_ms), event.actor.empty() ? "-" : event.actor,
               Cell(heard(event.sentence), is_bad ? Tint::red : Tint::none)});
  }
  table.write(context.out, context.terminal);
  return exit_code::ok;
}

}  // namespace

Verb events_verb() {
  return {.path = "events",
          .summary = "tell what happened to a job",
          .positionals = Positionals::one_job,
          .options = {json_option("the API's list")},
          .details =
              "One line for each thing that was recorded of it: who submitted it, where it started, what failed, who "
              "stopped it.\n"
              "Examples:\n  ultra events 12\n  ultra events 12_3\n  ultra events 12 --json | jq -r '.events[].type'",
          .run = events};
}

}  // namespace ultramarine::cli
