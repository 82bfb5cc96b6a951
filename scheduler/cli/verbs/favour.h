// What boost, extend and what is done to others' jobs have in common: the bill first, then the confirmation.
#pragma once

#include "scheduler/cli/client.h"
#include "scheduler/cli/verb.h"

namespace ultramarine::cli {

/// --reason, --confirm, --yes and --json of a verb that grants favours.
std::vector<Option> favour_options();

/// Prints the bill. Grants the favour with the token of --confirm, and with --yes whatever the bill says; at once, too, when nobody is delayed. Else it
/// says how to go on. Returns 0 when it is granted or only the bill was to be seen.
int ask_favour(protocol::FavourRequest request, const std::string& command, const Arguments& arguments, Context& context);

/// Whether a plain request was refused because others would start later for it.
bool wants_bill(const Refused& refused);

/// As a shell would take it back.
std::string shell_quoted(const std::string& text);

/// Throws CommandError when there is no --reason.
std::string reason_of(const Arguments& arguments, const std::string& example);

}  // namespace ultramarine::cli
