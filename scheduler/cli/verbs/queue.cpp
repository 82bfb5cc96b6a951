// ultra queue: who runs, who waits, until when and why.
#include <boost/describe/enumerators.hpp>
#include <boost/mp11.hpp>
#include <sstream>

#include "scheduler/cli/client.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/nearest.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/verbs/job_choice.h"
#include "scheduler/cli/verbs/watching.h"
#include "scheduler/cli/words.h"

namespace ultramarine::cli {
namespace {

JobFilter filter_of(const Arguments& arguments) {
  JobFilter filter;
  filter.all = arguments.has("--all");
  filter.all_members = arguments.has("--json");
  choose_owner(arguments, filter);
  if (const auto state = arguments.text("--state")) {
    std::vector<std::string> words;
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<JobState>>([&](auto enumerator) {
      words.push_back(enumerator.name);
      if (*state == enumerator.name && is_terminal(enumerator.value)) filter.all = true;
    });
    bool known = false;
    std::string list;
    for (const std::string& one : words) known = known || one == *state, list += (list.empty() ? "" : ", ") + one;
    if (!known)
      usage_error("--state", spoken("\"{0}\" is not a state", *state),
                  did_you_mean(*state, words, spoken("give one of {0}", list)));
    filter.state = *state;
  }
  return filter;
}

struct Totals {
  std::int64_t running = 0, waiting = 0, gpus = 0;
};

Table table_of(const protocol::JobList& list, const Terminal& terminal, Totals& totals) {
  using Align = Table::Align;
  Table table({{spoken("JOB"), Align::right},
               {spoken("NAME")},
               {spoken("USER")},
               {spoken("ACCOUNT")},
               {spoken("GPUS"), Align::right},
               {spoken("STATE")},
               {spoken("TIME")},
               {spoken("START")},
               {spoken("WHERE/WHY")}});
  for (const protocol::JobView& view : list.jobs) {
    const Job& job = view.details;
    const auto or_dash = [](const std::string& text) { return text.empty() ? std::string("-") : text; };
    table.add({name_of(job),
               terminal.out_is_terminal ? clipped(or_dash(job.spec.name), 24) : or_dash(job.spec.name),
               or_dash(job.owner.name), or_dash(job.spec.account), std::to_string(view.gpus),
               Cell(word(job.state), tint_of(job.state)), elapsed_of_limit(job, list.now_ms),
               planned_start(view, list.now_ms), where_or_why(view)});
    if (is_active(job.state)) ++totals.running, totals.gpus += view.gpus;
    if (job.state == JobState::queued || job.state == JobState::held) ++totals.waiting;
  }
  return table;
}

std::string summary(const Totals& totals) {
  return spoken("{0} on {1}, {2}.", spoken_count(totals.running, "{0} job runs", "{0} jobs run"),
                spoken_count(totals.gpus, "{0} GPU", "{0} GPUs"),
                spoken_count(totals.waiting, "{0} waits", "{0} wait"));
}

/// Why the table is empty: nothing waits, or a name is one that nobody has.
std::string nothing_found(Client& client, const JobFilter& filter) {
  std::string text = filter.state.empty() && filter.user.empty() && filter.account.empty()
                         ? spoken("The queue is empty.")
                         : spoken("No such jobs.");
  text += near_owners(client, filter);
  return filter.all ? text : text + " " + spoken("Ended jobs: '{0}'.", "ultra queue --all");
}

/// One look of --watch.
Seen look(const Arguments& arguments, const JobFilter& filter, Client& client, const Terminal& terminal) {
  const auto answer = client.jobs(filter);
  if (arguments.has("--json")) return {"", answer.body + "\n"};
  Totals totals;
  const Table table = table_of(answer.value, terminal, totals);
  std::ostringstream text;
  table.write(text, terminal);
  if (!terminal.out_is_terminal) text << '\n';
  return {summary(totals), text.str()};
}

int queue(const Arguments& arguments, Context& context) {
  const JobFilter filter = filter_of(arguments);
  if (const auto interval = watch_interval(arguments))
    return watch(*interval, context,
                 [&](Client& client, const Terminal& terminal) { return look(arguments, filter, client, terminal); });
  Client client(context.socket);
  const auto answer = client.jobs(filter);
  if (arguments.has("--json")) {
    context.out << answer.body << '\n';
    return exit_code::ok;
  }
  Totals totals;
  const Table table = table_of(answer.value, context.terminal, totals);
  if (!context.terminal.out_is_terminal || !table.empty()) table.write(context.out, context.terminal);
  if (!context.terminal.out_is_terminal) return exit_code::ok;
  context.err << (table.empty() ? nothing_found(client, filter)
                                : tinted(summary(totals), Tint::dim, context.terminal.error_colour))
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
                      watch_option(),
                      interval_option(),
                      json_option("the API's list")},
          .details =
              "TIME is elapsed / limit; START is the planned start of a job that waits. On a pipe the columns are "
              "separated by tabs; with --watch an empty line ends each table.\n"
              "Examples:\n  ultra queue --me\n  ultra queue --all --state failed\n  ultra queue --watch --interval "
              "5s\n  ultra queue --json | jq "
              "'.jobs[].details.job'",
          .run = queue};
}

}  // namespace ultramarine::cli
