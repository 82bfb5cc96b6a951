// ultra wait: returns when jobs have ended, with their code.
#include "scheduler/cli/client.h"
#include "scheduler/cli/job_output.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/money.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/words.h"

namespace ultramarine::cli {
namespace {

int wait(const Arguments& arguments, Context& context) {
  const std::vector<JobName> jobs = arguments.job_names();
  std::optional<Time> deadline;
  if (const auto timeout = arguments.duration("--timeout")) deadline = context.now() + *timeout;
  const Interrupt interrupt;
  Client client(context.socket, &interrupt);
  Progress progress(context.err, context.terminal);
  for (const JobName& job : jobs) client.job(job);  // an unknown one is said at once, not after the others
  std::vector<Answer<protocol::JobView>> ended;
  int code = exit_code::ok;
  for (const JobName& job : jobs) {
    auto answer = wait_for_end(client, job, deadline, context, interrupt, progress);
    if (!answer) {
      progress.clear();
      throw CommandError(
          exit_code::timed_out,
          error_line("--timeout",
                     spoken("job {0} has not ended within {1}", job.text, *arguments.text("--timeout")),
                     spoken("it goes on; wait longer or stop it with '{0}'", "ultra cancel " + job.text)));
    }
    if (code == exit_code::ok) code = exit_code_of(answer->value);
    if (!arguments.has("--json")) {
      context.out << capitalized(printable(ended_sentence(answer->value))) << ".\n" << std::flush;
      if (const std::string price = price_sentence(client, job); !price.empty()) context.err << price << '\n' << std::flush;
    }
    ended.push_back(std::move(*answer));
  }
  if (arguments.has("--json")) {
    std::vector<protocol::JobView> views;
    for (const auto& answer : ended) views.push_back(answer.value);
    context.out << (jobs.size() == 1 ? ended.front().body : encode_views(views, context.now())) << '\n';
  }
  return code;
}

}  // namespace

Verb wait_verb() {
  return {.path = "wait",
          .summary = "wait for the end of jobs; exit with their code",
          .positionals = Positionals::jobs,
          .options = {{"--timeout", "LENGTH", "Give up after this time (exit code 7); the job goes on"},
                      json_option("the API's job (of several: its list)")},
          .details =
              "The number of an array stands for all its elements. The exit code is the job's own (of an array the highest; 128 + signal; "
              "125 if the cluster failed it); of several jobs, the first "
              "that isn't 0.\n"
              "Examples:\n  ultra wait 12 && echo done\n  ultra wait 12 13 --timeout 10m",
          .run = wait};
}

}  // namespace ultramarine::cli
