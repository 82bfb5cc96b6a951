// ultra attach: back to the terminal of a shell on a node, or to what another job prints.
#include "scheduler/cli/job_output.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/terminal_session.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/words.h"

namespace ultramarine::cli {
namespace {

int attach(const Arguments& arguments, Context& context) {
  const std::vector<JobName> names = arguments.job_names();
  if (names.size() > 1) usage_error("JOB", spoken("one job at a time"), spoken("give one job number"));
  const JobName& job = names.front();
  Interrupt interrupt;
  Client client(context.socket, &interrupt);
  protocol::JobView view = client.job(job).value;
  if (!view.details.spec.terminal || is_terminal(view.details.state)) {
    try {
      view = follow_job(client, job, {}, context, interrupt);
    } catch (const Interrupted&) {
      say_detached(job, context);
      return exit_code::interrupted;
    }
    say_end(view, context);
    return exit_code_of(view);
  }
  try {
    wait_for_start(client, job, context, interrupt);
  } catch (const Interrupted&) {
    say_detached(job, context);
    return exit_code::interrupted;
  }
  return stay_with_shell(job, context.now(), context, interrupt);
}

}  // namespace

Verb attach_verb() {
  return {.path = "attach",
          .summary = "back to a shell on a node, or follow what a job prints",
          .positionals = Positionals::one_job,
          .options = {},
          .details = "This terminal becomes that of a job of 'ultra shell' again; Ctrl-] leaves it.\n"
                     "Of every other job it prints what its ranks print until its end; Ctrl-C leaves the job alone. It ends with the job's exit code.",
          .run = attach};
}

}  // namespace ultramarine::cli
