// ultra reorder: one's own waiting jobs take each other's places.
#include "scheduler/cli/client.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/words.h"

namespace ultramarine::cli {
namespace {

int reorder(const Arguments& arguments, Context& context) {
  const auto answer = Client(context.socket).reorder(arguments.job_names());
  if (arguments.has("--json")) {
    context.out << answer.body << '\n';
    return exit_code::ok;
  }
  Table table({{spoken("JOB"), Table::Align::right}, {spoken("NAME")}, {spoken("STATE")}, {spoken("START")}});
  for (const protocol::JobView& view : answer.value.jobs)
    table.add({name_of(view), printable(view.details.spec.name), Cell(word(view.details.state), tint_of(view.details.state)),
               planned_start(view, answer.value.now_ms)});
  table.write(context.out, context.terminal);
  return exit_code::ok;
}

}  // namespace

Verb reorder_verb() {
  return {.path = "reorder",
          .summary = "have your own waiting jobs change places",
          .positionals = Positionals::jobs,
          .options = {json_option("the API's list of these jobs")},
          .details =
              "The job that is named first gets the foremost of their places, and so on; all of one account, partition and QOS. "
              "Refused when somebody else would start later by it.\nExamples:\n  ultra reorder 14 12 13\n  ultra reorder 20_7 20_1",
          .run = reorder};
}

}  // namespace ultramarine::cli
