// ultra timeline: what ran, runs and is planned, as bars over time.
#include "scheduler/cli/timeline.h"

#include <sstream>

#include "scheduler/cli/client.h"
#include "scheduler/cli/environment.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/timeline_chart.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/verbs/job_choice.h"
#include "scheduler/cli/verbs/watching.h"
#include "scheduler/cli/words.h"
#include "scheduler/cli/zone_time.h"
#include "scheduler/protocol/codec.h"

namespace ultramarine::cli {
namespace {

constexpr std::size_t columns_of_a_pipe = 100;

/// What is asked for.
struct TimelineRequest {
  JobFilter filter;
  TimelineLengths lengths;
  bool by_node = false, json = false;
};

std::optional<Duration> length_shown(const Arguments& arguments, const std::string& option) {
  const auto length = arguments.duration(option);
  if (length && (length->ms < 1000 || *length > hours(24 * 366)))
    usage_error(option, spoken("{0} is out of range", *arguments.text(option)),
                spoken("give {0} to {1}", "1s", "366d"));
  return length;
}

TimelineRequest request_of(const Arguments& arguments) {
  TimelineRequest request;
  request.filter.all = true;
  choose_owner(arguments, request.filter);
  request.lengths = {length_shown(arguments, "--past"), length_shown(arguments, "--next")};
  request.by_node = arguments.has("--nodes");
  request.json = arguments.has("--json");
  if (request.by_node && request.json)
    usage_error("--nodes", spoken("can't be combined with {0}", "--json"), spoken("give one of them"));
  return request;
}

ChartStyle style_of(const Terminal& terminal, const std::map<std::string, std::string>& environment) {
  const bool fixed = !terminal.out_is_terminal && value_of(environment, "COLUMNS").empty();
  return {
      .columns = fixed ? columns_of_a_pipe : terminal.columns, .utf8 = terminal.utf8, .colour = terminal.out_colour};
}

/// Those that the plan has no start for, with the first sentence of why.
void write_unplanned(const Timeline& timeline, const Terminal& terminal, std::ostream& out) {
  if (timeline.unplanned.empty()) return;
  using Align = Table::Align;
  Table table({{spoken("JOB"), Align::right},
               {spoken("NAME")},
               {spoken("ACCOUNT")},
               {spoken("GPUS"), Align::right},
               {spoken("NO START IS PLANNED")}});
  for (const TimelineJob& job : timeline.unplanned) {
    const std::string why = job.why.substr(0, job.why.find(". "));
    table.add({job.job, job.name.empty() ? "-" : clipped(job.name, 20),
               job.account.empty() ? "-" : clipped(job.account, 16), std::to_string(job.gpus),
               why.empty() ? Cell(word(job.state), tint_of(job.state)) : Cell(heard(why))});
  }
  out << '\n';
  table.write(out, terminal);
}

struct Looked {
  Timeline timeline;
  std::vector<ChartNode> nodes;
};

Looked ask_for(Client& client, const TimelineRequest& request) {
  Looked looked;
  const std::string zone = client.cluster().value.time_zone;
  for (const protocol::NodeView& node : client.nodes().value.nodes)
    looked.nodes.push_back({node.node.config.name, node.node.config.gpus});
  const auto reservations = client.reservations().value.reservations;
  looked.timeline = timeline_of(client.jobs(request.filter).value, reservations, zone, request.lengths);
  return looked;
}

bool names_somebody(const TimelineRequest& request) {
  return !request.filter.user.empty() || !request.filter.account.empty();
}

/// Then there is something to say beside the chart, or instead of it.
bool is_empty(const Timeline& timeline, const TimelineRequest& request) {
  return timeline.jobs.empty() && timeline.unplanned.empty() &&
         (names_somebody(request) || timeline.reservations.empty());
}

std::string written(const Looked& looked, const TimelineRequest& request, const Terminal& terminal,
                    const ChartStyle& style) {
  if (request.json) return protocol::json::serialize(protocol::encode(looked.timeline)) + "\n";
  std::ostringstream out;
  const Timeline& timeline = looked.timeline;
  if (request.by_node)
    out << chart_of_nodes(timeline, looked.nodes, style);
  else if (!timeline.jobs.empty() || !timeline.reservations.empty())
    out << chart_of_jobs(timeline, looked.nodes, style);
  write_unplanned(timeline, terminal, out);
  return out.str();
}

/// "2026-11-23 11:40 to 14:40 (Asia/Seoul)."
std::string range_text(const Timeline& timeline) {
  const auto text = [&](Time time, const char* format) { return zone_time(time, timeline.time_zone, format); };
  const bool same_day = text(timeline.start_ms, "%F") == text(timeline.end_ms, "%F");
  return spoken("From {0} to {1} ({2}).", text(timeline.start_ms, "%F %R"),
                text(timeline.end_ms, same_day ? "%R" : "%F %R"), timeline.time_zone);
}

std::string nothing_there(Client& client, const TimelineRequest& request) {
  return (names_somebody(request) ? spoken("No such jobs.") : spoken("Nothing ran in this time, runs or waits.")) +
         near_owners(client, request.filter);
}

int timeline(const Arguments& arguments, Context& context) {
  const TimelineRequest request = request_of(arguments);
  if (const auto interval = watch_interval(arguments)) {
    return watch(*interval, context, [&](Client& client, const Terminal& terminal) -> Seen {
      const Looked looked = ask_for(client, request);
      const std::string text = written(looked, request, terminal, style_of(terminal, context.environment));
      if (request.json) return {"", text};
      const std::string words = is_empty(looked.timeline, request) ? nothing_there(client, request) + "\n" : "";
      return {range_text(looked.timeline), text + words + (terminal.out_is_terminal ? "" : "\n")};
    });
  }
  Client client(context.socket);
  const Looked looked = ask_for(client, request);
  const ChartStyle style = style_of(context.terminal, context.environment);
  context.out << written(looked, request, context.terminal, style);
  if (request.json) return exit_code::ok;
  context.out.flush();
  if (is_empty(looked.timeline, request))
    context.err << nothing_there(client, request) << '\n';
  else if (context.terminal.out_is_terminal)
    context.err << tinted(range_text(looked.timeline) + " " + chart_legend(style), Tint::dim,
                          context.terminal.error_colour)
                << '\n';
  return exit_code::ok;
}

}  // namespace

Verb timeline_verb() {
  return {.path = "timeline",
          .summary = "show what ran, runs and is planned as bars over time",
          .options = {{"--past", "LENGTH", "How far back (default: to the first start of what is shown, 2h at most)"},
                      {"--next", "LENGTH", "How far ahead (default: to the last end that is planned, 24h at most)"},
                      {"--nodes", "", "A row for GPUs of a node, not for a job"},
                      {"--user", "NAME", "Only this user's"},
                      {"--me", "", "Only mine"},
                      {"--account", "NAME", "Only this account's"},
                      watch_option(),
                      interval_option(),
                      json_option("bars, jobs without a planned start and reservations")},
          .details =
              "A bar is full from the start until now, lighter until the time limit, lightest where it is planned, dim "
              "where it has ended. "
              "Reservations and maintenance have rows of their own, with --nodes they lie on their nodes; GPUs of a "
              "node that hold the same share a row. "
              "Times are of the cluster's time zone. Jobs without a planned start follow with the reason.\n"
              "On a pipe it is 100 columns wide, or COLUMNS. Where LC_ALL, LC_CTYPE or LANG names no UTF-8, ASCII is "
              "drawn: # = - : x.\n"
              "Examples:\n  ultra timeline\n  ultra timeline --nodes --past 6h\n  ultra timeline --me --next 3d\n  "
              "ultra timeline --watch\n  "
              "ultra timeline --json | jq '.jobs[] | [.job, .bars[-1].start_ms]'",
          .run = timeline};
}

}  // namespace ultramarine::cli
