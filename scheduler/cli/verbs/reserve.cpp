// ultra reserve: keeps nodes for accounts, or for nobody, and ends that again.
#include "scheduler/cli/client.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/verbs/favour.h"
#include "scheduler/cli/words.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::cli {
namespace {

std::string needed(const Arguments& arguments, const std::string& option, const std::string& example) {
  if (const auto given = arguments.text(option)) return *given;
  usage_error(option, spoken("none given"), spoken("write for example {0}", option + " " + example));
}

protocol::ReservationRequest request_of(const Arguments& arguments, Time now) {
  if (arguments.positionals.empty())
    usage_error("NAME", spoken("none given"),
                spoken("write for example {0}", "ultra reserve course --nodes node[01-02] ..."));
  protocol::ReservationRequest request;
  request.name = arguments.positionals.front();
  request.nodes = {needed(arguments, "--nodes", "node[01-02]")};
  request.accounts = arguments.list("--accounts");
  request.maintenance = arguments.has("--maintenance");
  if (request.maintenance == !request.accounts.empty())
    usage_error("--accounts",
                request.maintenance ? spoken("can't be combined with {0}", "--maintenance") : spoken("none given"),
                spoken("give either the accounts that may use the nodes, or --maintenance"));
  needed(arguments, "--start", "tomorrow");
  needed(arguments, "--duration", "2h");
  request.start_ms = {arguments.instant("--start", now)->ms / 1000 * 1000};  // so that it can be said again
  request.end_ms = request.start_ms + *arguments.duration("--duration");
  request.reason = needed(arguments, "--reason", "'a course'");
  return request;
}

/// The same again, wherever its start was counted from.
std::string command_of(const protocol::ReservationRequest& request, const Arguments& arguments) {
  std::string command = "ultra reserve " + shell_quoted(request.name) + " --nodes " + shell_quoted(request.nodes.front());
  command += request.maintenance ? " --maintenance" : " --accounts " + shell_quoted(*arguments.text("--accounts"));
  command += " --start @" + std::to_string(request.start_ms.ms / 1000) + " --duration " + shell_quoted(*arguments.text("--duration"));
  return command + " --reason " + shell_quoted(request.reason);
}

int cancel(const std::string& name, const Arguments& arguments, Context& context) {
  if (!arguments.positionals.empty() || arguments.values.size() > (arguments.has("--json") ? 2U : 1U))
    usage_error("--cancel", spoken("stands alone"), spoken("write {0}", "ultra reserve --cancel " + name));
  const auto answer = Client(context.socket).cancel_reservation(name);
  warn(answer.value.warnings, context);
  if (arguments.has("--json")) context.out << answer.body << '\n';
  else context.out << spoken("Reservation {0} is over.", name) << '\n';
  return exit_code::ok;
}

int reserve(const Arguments& arguments, Context& context) {
  if (const auto name = arguments.text("--cancel")) return cancel(*name, arguments, context);
  const protocol::ReservationRequest asked = request_of(arguments, context.now());
  const auto ask = [&] {
    protocol::FavourRequest request{.favour = Favour::reserve, .job = {}, .time_ms = {}, .reservation = asked, .reason = asked.reason, .token = {}};
    return ask_favour(std::move(request), command_of(asked, arguments), arguments, context);
  };
  if (arguments.has("--confirm") || arguments.has("--yes")) return ask();
  Answer<protocol::ReservationReply> answer;
  try {
    answer = Client(context.socket).reserve(asked);
  } catch (const Refused& refused) {
    if (!wants_bill(refused)) throw;
    return ask();
  }
  warn(answer.value.warnings, context);
  if (arguments.has("--json")) {
    context.out << answer.body << '\n';
    return exit_code::ok;
  }
  const Reservation& made = answer.value.reservation;
  std::string accounts;
  for (const std::string& account : made.accounts) accounts += (accounts.empty() ? "" : ", ") + account;
  const std::string nodes = protocol::fold_hostlist(made.nodes), from = local_time(made.start_ms), to = local_time(made.end_ms);
  context.out << (accounts.empty() ? spoken("Maintenance {0}: {1} from {2} to {3}.", made.name, nodes, from, to)
                                   : spoken("Reservation {0}: {1} for {2} from {3} to {4}.", made.name, nodes, accounts, from, to))
              << '\n';
  return exit_code::ok;
}

}  // namespace

Verb reserve_verb() {
  return {.path = "reserve",
          .summary = "keep nodes for accounts, or for maintenance",
          .positionals = Positionals::reservation,
          .options = {{"--nodes", "NODES", "Which: node[01-04]"},
                      {"--accounts", "NAMES", "Whose jobs may run on them then (they name it: 'ultra submit --reservation NAME')"},
                      {"--maintenance", "", "Nobody's may"},
                      {"--start", "WHEN", "From: now, 16:00, tomorrow, 2026-12-24T10:00 (local time)"},
                      {"--duration", "LENGTH", "For so long: 2h, 1d"},
                      {"--reason", "TEXT", "Why, for those who wonder (mandatory)"},
                      {"--confirm", "TOKEN", "Make it although others start later for it: the token of the bill that you have seen"},
                      {"--yes", "", "Make it, whatever the bill says"},
                      {"--cancel", "NAME", "End this one, also before it begins"},
                      json_option("the API's answer")},
          .details =
              "For admins. What runs on the nodes is not stopped; jobs that couldn't end in time are not started on them.\n"
              "Examples:\n  ultra reserve course --nodes node[01-02] --accounts lab-a,lab-b --start tomorrow --duration 8h --reason 'GPU course'\n"
              "  ultra reserve fans --nodes node07 --maintenance --start 22:00 --duration 2h --reason 'new fans'\n  ultra reserve --cancel course",
          .run = reserve};
}

}  // namespace ultramarine::cli
