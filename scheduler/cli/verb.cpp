#include "scheduler/cli/verb.h"

#include <algorithm>
#include <charconv>

#include "scheduler/cli/environment.h"
#include "scheduler/cli/language.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::cli {
namespace {

std::optional<std::int64_t> parse_whole_number(const std::string& text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

std::string error_line(const std::string& field, const std::string& problem, const std::string& remedy) {
  std::string line = field.empty() ? heard(problem) : field + ": " + heard(problem);
  if (!remedy.empty()) line += (line.empty() ? "" : "; ") + heard(remedy);
  return printable(line);
}

void usage_error(const std::string& field, const std::string& problem, const std::string& remedy) {
  throw CommandError(exit_code::usage, error_line(field, problem, remedy));
}

std::optional<std::string> Arguments::text(const std::string& option) const {
  const auto found = values.find(option);
  if (found == values.end()) return std::nullopt;
  return found->second;
}

std::optional<std::int64_t> Arguments::whole_number(const std::string& option, std::int64_t least,
                                                    std::int64_t most) const {
  const auto given = text(option);
  if (!given) return std::nullopt;
  const auto number = parse_whole_number(*given);
  if (!number)
    usage_error(option, spoken("expected a whole number, got \"{0}\"", *given),
                spoken("write {0}", option + " " + std::to_string(std::max<std::int64_t>(least, 8))));
  if (*number < least || *number > most) {
    usage_error(option, spoken("{0} is out of range", *given), spoken("give {0} to {1}", least, most));
  }
  return number;
}

std::optional<Duration> Arguments::duration(const std::string& option) const {
  const auto given = text(option);
  if (!given) return std::nullopt;
  const auto length = protocol::parse_duration(*given);
  if (!length) {
    usage_error(option, spoken("expected a length of time, got \"{0}\"", *given),
                spoken("write for example {0}", "30s, 10m, 2h, 1-12:00"));
  }
  return length;
}

std::optional<Time> Arguments::instant(const std::string& option, Time now) const {
  const auto given = text(option);
  if (!given) return std::nullopt;
  const auto instant = protocol::parse_instant(*given, now);
  if (!instant) {
    usage_error(option, spoken("expected an instant, got \"{0}\"", *given),
                spoken("write for example {0}", "now+2h, 16:00, tomorrow, 2026-12-24T10:00"));
  }
  return instant;
}

std::vector<std::string> Arguments::list(const std::string& option) const {
  std::vector<std::string> words;
  const std::string given = text(option).value_or("");
  for (std::size_t from = 0; from < given.size();) {
    const std::size_t comma = std::min(given.find(',', from), given.size());
    if (comma > from) words.push_back(given.substr(from, comma - from));
    from = comma + 1;
  }
  return words;
}

std::vector<JobId> Arguments::jobs() const {
  std::vector<JobId> ids;
  for (const std::string& given : positionals) {
    const auto number = parse_whole_number(given);
    if (!number || *number < 1)
      usage_error("JOB", spoken("\"{0}\" is not a job number", given), spoken("'ultra queue --all' lists them"));
    ids.push_back({*number});
  }
  return ids;
}

std::vector<JobName> Arguments::job_names() const {
  std::vector<JobName> names;
  for (const std::string& given : positionals) {
    const auto these = parse_job_names(given);
    if (these.empty()) {
      usage_error("JOB", spoken("\"{0}\" is not a job", given),
                  spoken("give a number, or 12_3 for an element of array 12; 'ultra queue --all' lists them"));
    }
    names.insert(names.end(), these.begin(), these.end());
  }
  return names;
}

std::string Context::variable(const std::string& name) const { return value_of(environment, name); }

void warn(const std::vector<std::string>& lines, Context& context) {
  for (const std::string& line : lines)
    context.err << tinted(spoken("warning:"), Tint::yellow, context.terminal.error_colour) << ' '
                << printable(heard(line)) << '\n';
}

const std::vector<Option>& global_options() {
  static const std::vector<Option> options{
      {"--socket", "PATH", "The scheduler's socket (default: $ULTRA_SOCKET, else scheduler.sock in $ULTRA_HOME)"},
      {"--color", "WHEN", "auto, always or never (also: NO_COLOR, CLICOLOR_FORCE)"}};
  return options;
}

std::string positional_words(Positionals positionals) {
  switch (positionals) {
    case Positionals::none:
      return "";
    case Positionals::one_job:
      return " JOB";
    case Positionals::maybe_job:
      return " [JOB]";
    case Positionals::jobs:
      return " JOB...";
    case Positionals::job_and_command:
      return " JOB -- COMMAND [ARGUMENT...]";
    case Positionals::maybe_command:
      return " [-- COMMAND [ARGUMENT...]]";
    case Positionals::command:
      return " -- COMMAND [ARGUMENT...]";
    case Positionals::script_or_command:
      return " SCRIPT [ARGUMENT...] | -- COMMAND [ARGUMENT...]";
    case Positionals::nodes:
      return " [NODE...]";
    case Positionals::some_nodes:
      return " NODE...";
    case Positionals::reservation:
      return " [NAME]";
    case Positionals::file:
      return " FILE";
    case Positionals::folder:
      return " FOLDER";
    case Positionals::shell:
      return " bash|zsh|fish";
    case Positionals::policy:
      return " FILE|NAME";
    case Positionals::maybe_policy:
      return " [FILE|NAME]";
    case Positionals::policies:
      return " FILE|NAME [FILE|NAME]";
  }
  return "";
}

std::string group_summary(const std::string& first_word) {
  if (first_word == "whatif") return spoken("the plan with one thing changed, beside the plan as it is");
  return first_word == "policy" ? spoken("explain, check and compare policies") : spoken("start, stop and look at a cluster on this machine");
}

std::vector<Verb> all_verbs() {
  std::vector<Verb> verbs{cluster_up_verb(), cluster_down_verb(), cluster_status_verb(), submit_verb(),  run_verb(),     shell_verb(), attach_verb(), exec_verb(),
                          queue_verb(),      timeline_verb(), top_verb(),          dashboard_verb(), show_verb(),           why_verb(),     events_verb(),  logs_verb(),  cancel_verb(), hold_verb(),
                          release_verb(),    requeue_verb(),      reorder_verb(),        wait_verb(),    wait_report_verb()};
  for (Verb& verb : whatif_verbs()) verbs.push_back(std::move(verb));
  for (Verb& verb : std::vector<Verb>{boost_verb(), extend_verb(), nodes_verb(), priority_verb(), shares_verb(), report_verb(), drain_verb(), resume_verb(), lost_verb(), reserve_verb(),
                                      reservations_verb(), reload_verb(), policy_show_verb(), policy_check_verb(), policy_diff_verb(), validate_verb(), doctor_verb(), completion_verb(), man_verb(), version_verb()})
    verbs.push_back(std::move(verb));
  return verbs;
}

}  // namespace ultramarine::cli
