// ultra logs: what a job's ranks printed, or print.
#include "scheduler/cli/client.h"
#include "scheduler/cli/job_output.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/words.h"

namespace ultramarine::cli {
namespace {

int logs(const Arguments& arguments, Context& context) {
  const JobId job = arguments.jobs().front();
  const auto rank = arguments.whole_number("--rank", 0, 1'000'000);
  const bool follow = arguments.has("--follow");
  if (follow && !arguments.has("--json")) {
    const Interrupt interrupt;
    Client client(context.socket, &interrupt);
    try {
      const auto view = follow_job(client, job, rank, context, interrupt);
      say_end(view, context);
      return exit_code::ok;
    } catch (const Interrupted&) {
      say_detached(job, context);
      return exit_code::interrupted;
    }
  }
  Client client(context.socket);
  JobOutput output(context.out, context.err, !rank, context.terminal.out_colour);
  client.logs(job, rank, follow, [&](const protocol::LogLine& piece, std::string_view json) {
    if (arguments.has("--json"))
      context.out << json << '\n' << std::flush;
    else
      output.take(piece);
  });
  output.finish();
  return exit_code::ok;
}

}  // namespace

Verb logs_verb() {
  return {.path = "logs",
          .summary = "print what a job's ranks printed",
          .positionals = Positionals::one_job,
          .options = {{"--rank", "N", "Only this rank, byte for byte"},
                      {"--follow", "", "Go on until the job's end; Ctrl-C leaves the job alone", "-f"},
                      {"--json", "", "Print the API's pieces, one JSON object per line"}},
          .details =
              "Lines begin with [rank]; ranks' stderr goes to stderr.\nExamples:\n  ultra logs 12 --follow\n  ultra "
              "logs 12 --rank 0 > rank0.txt",
          .run = logs};
}

}  // namespace ultramarine::cli
