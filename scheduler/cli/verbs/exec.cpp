// ultra exec: one more process beside the ranks of a running job, at this terminal when there is one.
#include "scheduler/cli/gang_stay.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/patience.h"
#include "scheduler/cli/terminal_session.h"
#include "scheduler/cli/verb.h"

namespace ultramarine::cli {
namespace {

JobName one_job(const Arguments& arguments) {
  const auto names = parse_job_names(arguments.positionals.empty() ? "" : arguments.positionals.front());
  if (names.size() != 1)
    usage_error("JOB", arguments.positionals.empty() ? spoken("none given") : spoken("\"{0}\" is no job", arguments.positionals.front()),
                spoken("give one job number"));
  return names.front();
}

int exec(const Arguments& arguments, Context& context) {
  const JobName job = one_job(arguments);
  protocol::GangRequest request;
  request.spec.command.assign(arguments.positionals.begin() + 1, arguments.positionals.end());
  if (request.spec.command.empty())
    usage_error("command", spoken("nothing to run"), spoken("give it after --, for example: {0}", "ultra exec " + job.text + " -- nvidia-smi"));
  request.spec.beside_rank = arguments.whole_number("--rank", 0, 1'000'000).value_or(0);
  request.spec.working_directory = arguments.text("--workdir").value_or("");
  const bool at_terminal = context.terminal.can_ask && context.terminal.out_is_terminal;
  if (at_terminal) {
    request.spec.terminal = window_size();
    request.environment["TERM"] = context.variable("TERM");
  }
  const protocol::GangReply reply = Client(context.socket).start_gang(job, request);
  if (!at_terminal) return stay_with_gang(job, reply.gang, OutputForm::bytes, context, true);
  Interrupt interrupt;
  if (!stay_at_terminal(job, reply.gang, std::nullopt, context, interrupt)) {
    Client(context.socket).stop_gang(job, reply.gang);
    return exit_code::interrupted;
  }
  Client client(context.socket, &interrupt);
  Patience patience(interrupt, context.now);
  for (;;) {
    const protocol::GangView view = patience([&] { return client.wait_for_gang(job, reply.gang, std::chrono::seconds(20)); });
    if (view.exit_code && *view.exit_code < exit_code::system_failed) return static_cast<int>(*view.exit_code);
    if (view.details.finished_ms || view.exit_code) return say_end_of_gang(job, reply.gang, view, context);
  }
}

}  // namespace

Verb exec_verb() {
  return {.path = "exec",
          .summary = "run a command beside the ranks of a running job",
          .positionals = Positionals::job_and_command,
          .options = {{"--rank", "N", "On the node of this rank (default 0)"}, {"--workdir", "FOLDER", "Where it runs (default: the job's)"}},
          .details = "One more process in your job, with the job's environment and GPUs; at a terminal it has a terminal.\n"
                     "It is stopped when the job ends, and its failure is no failure of the job. It ends with the command's exit code.\n"
                     "Examples:\n  ultra exec 12 -- nvidia-smi\n  ultra exec 12 --rank 8 -- bash",
          .run = exec};
}

}  // namespace ultramarine::cli
