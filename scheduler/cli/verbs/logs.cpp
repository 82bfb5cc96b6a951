// ultra logs: what a job's ranks printed, or print.
#include <ctime>

#include "scheduler/cli/client.h"
#include "scheduler/cli/job_output.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/patience.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/words.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::cli {
namespace {

constexpr std::size_t ranks_max = 1'000'000;

/// `10m` = so long ago; `03:40`, `03:40:05` = today; `2026-11-22`, `2026-11-22 03:40:05`, with T instead of the blank. Local time.
std::optional<Time> moment(const std::string& text, Time now) {
  const bool has_unit = text.find_first_of("dhms") != std::string::npos;
  if (const auto ago = has_unit ? protocol::parse_duration(text) : std::nullopt) return now - *ago;
  for (const char* form : {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%H:%M:%S", "%H:%M"}) {
    std::tm parts{};
    if (form[1] == 'H') {
      const std::time_t today = static_cast<std::time_t>(now.ms / 1000);
      localtime_r(&today, &parts);
      parts.tm_sec = 0;
    }
    const char* end = strptime(text.c_str(), form, &parts);
    if (!end || *end != '\0') continue;
    parts.tm_isdst = -1;
    return Time{static_cast<std::int64_t>(std::mktime(&parts)) * 1000};
  }
  return std::nullopt;
}

OutputChoice choice_of(const Arguments& arguments, Time now) {
  OutputChoice choice;
  choice.gang = arguments.whole_number("--gang", 1, 1'000'000);
  if (const auto text = arguments.text("--rank")) {
    const auto ranks = parse_ranges(*text, ranks_max);
    if (!ranks) usage_error("--rank", spoken("\"{0}\" is no list of ranks", *text), spoken("write for example 0, 0-3 or 0,4-7"));
    choice.ranks = *ranks;
  }
  if (const auto text = arguments.text("--since")) {
    choice.since = moment(*text, now);
    if (!choice.since)
      usage_error("--since", spoken("\"{0}\" is no moment", *text), spoken("write for example 10m (ago), 03:40 or \"2026-11-22 03:40\""));
  }
  return choice;
}

/// A gang's output until its end, across restarts of the scheduler.
void follow_gang(Client& client, const JobName& job, const OutputChoice& choice, JobOutput& output, Context& context,
                 const Interrupt& interrupt) {
  Patience patience(interrupt, context.now);
  patience([&] {
    output.rewind();
    client.logs(job, choice, true, [&](const protocol::LogLine& piece, std::string_view) { output.take(piece); });
    return true;
  });
  output.finish();
}

int follow(const JobName& job, const OutputChoice& choice, const LinePattern* only, Context& context) {
  const Interrupt interrupt;
  Client client(context.socket, &interrupt);
  try {
    if (choice.gang) {
      JobOutput output(context.out, context.err, form_of(nullptr, choice), context.terminal.out_colour, only);
      follow_gang(client, job, choice, output, context, interrupt);
      return exit_code::ok;
    }
    say_end(follow_job(client, job, choice, context, interrupt, only), context);
    return exit_code::ok;
  } catch (const Interrupted&) {
    say_detached(job, context);
    return exit_code::interrupted;
  }
}

/// How the output is shown depends on the job; without a word about it, as of a plain one.
OutputForm form_for(Client& client, const JobName& job, const OutputChoice& choice) {
  if (choice.gang || choice.ranks.size() == 1) return form_of(nullptr, choice);
  try {
    const auto answer = client.job(job);
    return form_of(&answer.value, choice);
  } catch (const Refused&) {
    return form_of(nullptr, choice);  // the request for the output will say what is wrong
  }
}

int logs(const Arguments& arguments, Context& context) {
  const std::vector<JobName> names = arguments.job_names();
  if (names.size() > 1) usage_error("JOB", spoken("one job at a time"), spoken("give one job number"));
  const JobName& job = names.front();
  const OutputChoice choice = choice_of(arguments, context.now());
  std::optional<LinePattern> only;
  if (const auto expression = arguments.text("--grep")) only.emplace("--grep", *expression);
  const LinePattern* const shown = only ? &*only : nullptr;
  const bool json = arguments.has("--json");
  if (json && only) usage_error("--grep", spoken("can't be combined with {0}", "--json"), spoken("give one of them"));
  if (arguments.has("--follow") && !json) return follow(job, choice, shown, context);
  Client client(context.socket);
  JobOutput output(context.out, context.err, json ? OutputForm::bytes : form_for(client, job, choice), context.terminal.out_colour, shown);
  client.logs(job, choice, arguments.has("--follow"), [&](const protocol::LogLine& piece, std::string_view text) {
    if (json)
      context.out << text << '\n' << std::flush;
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
          .options = {{"--rank", "LIST", "Only these ranks: 0, 0-3, 0,4-7; a single one byte for byte"},
                      {"--gang", "N", "Of the N-th gang: 1 is the job's or the script, the others were started by 'ultra run'"},
                      {"--since", "WHEN", "Only what was printed since: 10m (ago), 03:40, \"2026-11-22 03:40\""},
                      {"--grep", "REGEX", "Only lines that match this POSIX extended regular expression"},
                      {"--follow", "", "Go on until the job's end; Ctrl-C leaves the job alone", "-f"},
                      {"--json", "", "Print the API's pieces, one JSON object per line"}},
          .details =
              "Lines begin with [rank], but those of a script; ranks' stderr goes to stderr.\nExamples:\n  ultra logs 12 --follow\n  ultra "
              "logs 12 --rank 0 > rank0.txt\n  ultra logs 12_3 --since 10m --grep 'loss|error'",
          .run = logs};
}

}  // namespace ultramarine::cli
