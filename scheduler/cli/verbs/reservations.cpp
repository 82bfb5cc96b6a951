// ultra reservations: which nodes are or will be kept, for whom and until when.
#include "scheduler/cli/client.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/words.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::cli {
namespace {

int reservations(const Arguments& arguments, Context& context) {
  const auto answer = Client(context.socket).reservations();
  if (arguments.has("--json")) {
    context.out << answer.body << '\n';
    return exit_code::ok;
  }
  Table table({{spoken("NAME")}, {spoken("STATE")}, {spoken("START")}, {spoken("END")}, {spoken("NODES")}, {spoken("ACCOUNTS")}, {spoken("USER")}, {spoken("REASON")}});
  for (const Reservation& one : answer.value.reservations) {
    std::string accounts;
    for (const std::string& account : one.accounts) accounts += (accounts.empty() ? "" : ",") + account;
    const bool has_begun = one.start_ms <= answer.value.now_ms;
    table.add({one.name, Cell(has_begun ? spoken("active") : spoken("planned"), has_begun ? Tint::green : Tint::none), local_time(one.start_ms), local_time(one.end_ms),
               protocol::fold_hostlist(one.nodes), accounts.empty() ? spoken("maintenance") : accounts, one.actor.name, printable(one.reason)});
  }
  if (!context.terminal.out_is_terminal || !table.empty()) table.write(context.out, context.terminal);
  else context.err << spoken("Nothing is reserved.") << '\n';
  return exit_code::ok;
}

}  // namespace

Verb reservations_verb() {
  return {.path = "reservations",
          .summary = "show which nodes are kept for whom",
          .options = {json_option("the API's list")},
          .details = "Times are local.\nExamples:\n  ultra reservations\n  ultra reservations --json | jq '.reservations[].name'",
          .run = reservations};
}

}  // namespace ultramarine::cli
