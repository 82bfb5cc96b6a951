// ultra hold: a job that waits is to wait until it is released.
#include "scheduler/cli/language.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/verbs/each_job.h"

namespace ultramarine::cli {
namespace {

int hold(const Arguments& arguments, Context& context) {
  const std::string reason = arguments.text("--reason").value_or("");
  return do_to_each_job(
      Favour::hold, arguments, context, [&](Client& client, const JobName& job) { return client.hold(job, reason); },
      [](const JobName& job, const protocol::JobView&) { return spoken("Job {0} is held.", job.text); });
}

}  // namespace

Verb hold_verb() {
  return {.path = "hold",
          .summary = "have waiting jobs wait until they are released",
          .positionals = Positionals::jobs,
          .options = {{"--reason", "TEXT", "Why, for those who wonder (mandatory for a job of somebody else)"},
                      {"--confirm", "TOKEN", "Of a job of somebody else: the token of the bill that you have seen"},
                      {"--yes", "", "Of a job of somebody else: whatever the bill says"},
                      json_option("the API's job (of several: its list)")},
          .details =
              "The number of an array stands for all its elements that wait. What an admin holds only an admin releases.\n"
              "Examples:\n  ultra hold 12 --reason 'data is late'\n  ultra hold 15_[1-5]\n  ultra submit --hold -- python3 train.py",
          .run = hold};
}

}  // namespace ultramarine::cli
