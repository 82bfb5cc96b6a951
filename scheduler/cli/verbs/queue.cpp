// ultra queue: who runs, who waits, until when and why.
#include <pwd.h>
#include <unistd.h>

#include <boost/describe/enumerators.hpp>
#include <boost/mp11.hpp>

#include "scheduler/cli/client.h"
#include "scheduler/cli/nearest.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/words.h"

namespace ultramarine::cli {
namespace {

std::string own_name() {
  const passwd* user = getpwuid(geteuid());
  return user ? user->pw_name : std::to_string(geteuid());
}

JobFilter filter_of(const Arguments& arguments) {
  JobFilter filter;
  filter.all = arguments.has("--all");
  filter.account = arguments.text("--account").value_or("");
  filter.user = arguments.text("--user").value_or("");
  if (arguments.has("--me")) {
    if (!filter.user.empty())
      throw CommandError(exit_code::usage, error_line("--me", "can't be combined with --user", "give one of them"));
    filter.user = own_name();
  }
  if (const auto state = arguments.text("--state")) {
    std::vector<std::string> words;
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<JobState>>([&](auto enumerator) {
      words.push_back(enumerator.name);
      if (*state == enumerator.name && is_terminal(enumerator.value)) filter.all = true;
    });
    bool known = false;
    std::string list;
    for (const std::string& one : words) known = known || one == *state, list += (list.empty() ? "" : ", ") + one;
    if (!known) {
      const std::string near = nearest(*state, words);
      throw CommandError(exit_code::usage,
                         error_line("--state", "\"" + *state + "\" is not a state",
                                    near.empty() ? "give one of " + list : "did you mean " + near + "?"));
    }
    filter.state = *state;
  }
  return filter;
}

int queue(const Arguments& arguments, Context& context) {
  const JobFilter filter = filter_of(arguments);
  const auto answer = Client(context.socket).jobs(filter);
  if (arguments.has("--json")) {
    context.out << answer.body << '\n';
    return exit_code::ok;
  }
  using Align = Table::Align;
  Table table({{"JOB", Align::right},
               {"NAME"},
               {"USER"},
               {"ACCOUNT"},
               {"GPUS", Align::right},
               {"STATE"},
               {"TIME"},
               {"START"},
               {"WHERE/WHY"}});
  std::int64_t running = 0, queued = 0, gpus = 0;
  for (const protocol::JobView& view : answer.value.jobs) {
    const Job& job = view.details;
    const auto or_dash = [](const std::string& text) { return text.empty() ? std::string("-") : text; };
    table.add({std::to_string(job.job.value),
               context.terminal.out_is_terminal ? clipped(or_dash(job.spec.name), 24) : or_dash(job.spec.name),
               or_dash(job.owner.name), or_dash(job.spec.account), std::to_string(view.gpus),
               Cell(word(job.state), tint_of(job.state)), elapsed_of_limit(job, answer.value.now_ms),
               planned_start(view, answer.value.now_ms), where_or_why(view)});
    if (is_active(job.state)) ++running, gpus += view.gpus;
    if (job.state == JobState::queued || job.state == JobState::held) ++queued;
  }
  if (!context.terminal.out_is_terminal) {
    table.write(context.out, context.terminal);
    return exit_code::ok;
  }
  if (table.empty()) {
    context.err << (filter.state.empty() && filter.user.empty() && filter.account.empty() ? "The queue is empty."
                                                                                          : "No such jobs.")
                << (filter.all ? "" : " Ended jobs: 'ultra queue --all'.") << '\n';
    return exit_code::ok;
  }
  table.write(context.out, context.terminal);
  context.err << tinted(counted(running, "job runs", "jobs run") + " on " + counted(gpus, "GPU", "GPUs") + ", " +
                            counted(queued, "waits", "wait") + ".",
                        Tint::dim, context.terminal.error_colour)
              << '\n';
  return exit_code::ok;
}

}  // namespace

Verb queue_verb() {
  return {.path = "queue",
          .summary = "show who runs, who waits, until when and why",
          .options = {{"--all", "", "Ended jobs too", "-a"},
                      {"--user", "NAME", "Only this user's"},
                      {"--me", "", "Only mine"},
                      {"--account", "NAME", "Only this account's"},
                      {"--state", "STATE",
                       "Only queued, held, starting, running, stopping, unknown, completed, failed or cancelled ones"},
                      json_option("the API's list")},
          .details =
              "TIME is elapsed / limit; START is the planned start of a job that waits. On a pipe the columns are "
              "separated by tabs.\n"
              "Examples:\n  ultra queue --me\n  ultra queue --all --state failed\n  ultra queue --json | jq "
              "'.jobs[].details.job'",
          .run = queue};
}

}  // namespace ultramarine::cli
