// ultra cancel: stops jobs that run and takes jobs that wait out of the queue.
#include "scheduler/cli/client.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/words.h"

namespace ultramarine::cli {
namespace {

int cancel(const Arguments& arguments, Context& context) {
  Client client(context.socket);
  const std::vector<JobName> jobs = arguments.job_names();
  std::vector<Answer<protocol::JobView>> answers;
  int code = exit_code::ok;
  for (const JobName& job : jobs) {
    try {
      answers.push_back(client.cancel(job));
    } catch (const Refused& error) {
      // The others are still to be stopped.
      if (jobs.size() == 1) throw;
      context.err << tinted(spoken("error:"), Tint::red, context.terminal.error_colour) << ' '
                  << spoken("job {0}: {1}", job.text, std::string(error.what())) << '\n';
      if (code == exit_code::ok) code = error.code;
      continue;
    }
    if (arguments.has("--json")) continue;
    const protocol::JobView& view = answers.back().value;
    const std::string state = word(view.details.state);
    context.out << (is_terminal(view.details.state) ? spoken("Job {0} is {1}.", job.text, state)
                                                    : spoken("Job {0} is being stopped.", job.text))
                << '\n';
  }
  if (arguments.has("--json")) {
    std::vector<protocol::JobView> views;
    for (const auto& answer : answers) views.push_back(answer.value);
    context.out << (jobs.size() == 1 ? answers.front().body : encode_views(views, context.now())) << '\n';
  }
  return code;
}

}  // namespace

Verb cancel_verb() {
  return {.path = "cancel",
          .summary = "stop jobs, or take them out of the queue",
          .positionals = Positionals::jobs,
          .options = {json_option("the API's job (of several: its list)")},
          .details =
              "The number of an array stands for all its elements. Running ranks get SIGTERM, and SIGKILL after the job's grace time.\n"
              "Examples:\n  ultra cancel 12\n  "
              "ultra cancel 12 13 14\n  ultra cancel 15_3 16_[1-5]   (elements of arrays)",
          .run = cancel};
}

}  // namespace ultramarine::cli
