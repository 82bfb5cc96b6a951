// ultra requeue: jobs that run save what they can, stop, and queue again.
#include "scheduler/cli/language.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/verbs/each_job.h"

namespace ultramarine::cli {
namespace {

int requeue(const Arguments& arguments, Context& context) {
  return do_to_each_job(
      Favour::requeue, arguments, context, [](Client& client, const JobName& job) { return client.requeue(job); },
      [](const JobName& job, const protocol::JobView&) { return spoken("Job {0} is being stopped, and queues again.", job.text); });
}

}  // namespace

Verb requeue_verb() {
  return {.path = "requeue",
          .summary = "stop running jobs and queue them again",
          .positionals = Positionals::jobs,
          .options = {{"--reason", "TEXT", "Of a job of somebody else: why (mandatory when others start later for it)"},
                      {"--confirm", "TOKEN", "Of a job of somebody else: the token of the bill that you have seen"},
                      {"--yes", "", "Of a job of somebody else: whatever the bill says"},
                      json_option("the API's job (of several: its list)")},
          .details = "Its ranks get SIGTERM, time to save a checkpoint (the job's grace time), and then SIGKILL. A job with '--signal' gets that first,\n"
                     "and SIGTERM once a checkpoint is saved or half of the time is over. A job whose ranks all end with code 0\n"
                     "without having saved one since was done anyway: it is completed and doesn't queue again. For its owner and admins.\n"
                     "Examples:\n  ultra requeue 12\n  ultra requeue 15_3 16",
          .run = requeue};
}

}  // namespace ultramarine::cli
