// ultra cancel: stops jobs that run and takes jobs that wait out of the queue.
#include "scheduler/cli/client.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/verbs/each_job.h"
#include "scheduler/cli/words.h"

namespace ultramarine::cli {
namespace {

int cancel(const Arguments& arguments, Context& context) {
  return do_to_each_job(
      Favour::cancel, arguments, context, [](Client& client, const JobName& job) { return client.cancel(job); },
      [](const JobName& job, const protocol::JobView& view) {
        return is_terminal(view.details.state) ? spoken("Job {0} is {1}.", job.text, word(view.details.state)) : spoken("Job {0} is being stopped.", job.text);
      });
}

}  // namespace

Verb cancel_verb() {
  return {.path = "cancel",
          .summary = "stop jobs, or take them out of the queue",
          .positionals = Positionals::jobs,
          .options = {{"--reason", "TEXT", "Of a job of somebody else: why (mandatory when others start later for it)"},
                      {"--confirm", "TOKEN", "Of a job of somebody else: the token of the bill that you have seen"},
                      {"--yes", "", "Of a job of somebody else: whatever the bill says"},
                      json_option("the API's job (of several: its list)")},
          .details =
              "The number of an array stands for all its elements. Running ranks get SIGTERM, and SIGKILL after the job's grace time.\n"
              "Examples:\n  ultra cancel 12\n  "
              "ultra cancel 12 13 14\n  ultra cancel 15_3 16_[1-5]   (elements of arrays)",
          .run = cancel};
}

}  // namespace ultramarine::cli
