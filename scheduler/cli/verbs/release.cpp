// ultra release: held jobs queue again.
#include "scheduler/cli/language.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/verbs/each_job.h"

namespace ultramarine::cli {
namespace {

int release(const Arguments& arguments, Context& context) {
  return change_each_job(
      arguments, context, [](Client& client, const JobName& job) { return client.release(job); },
      [](const JobName& job, const protocol::JobView&) { return spoken("Job {0} is in the queue again.", job.text); });
}

}  // namespace

Verb release_verb() {
  return {.path = "release",
          .summary = "let held jobs queue again",
          .positionals = Positionals::jobs,
          .options = {json_option("the API's job (of several: its list)")},
          .details = "The number of an array stands for all its elements.\nExamples:\n  ultra release 12\n  ultra release 15_3 16",
          .run = release};
}

}  // namespace ultramarine::cli
