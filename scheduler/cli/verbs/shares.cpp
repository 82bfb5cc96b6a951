// ultra shares: who may have how much, who used how much, and whose turn it is by that. The columns are those of `sshare -l`.
#include "scheduler/cli/client.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/words.h"

namespace ultramarine::cli {
namespace {

std::string gpu_minutes(std::int64_t minutes) { return "gres/gpu=" + std::to_string(minutes); }

std::vector<Cell> row_of(const AccountShare& share, bool indented) {
  constexpr std::int64_t minute_ms = 60'000, minutes_per_hour = 60;
  std::vector<Cell> row;
  for (const std::string& text :
       {std::string(indented ? static_cast<std::size_t>(share.depth) : 0, ' ') + share.account,
        share.user,
        std::to_string(share.raw_shares),
        part_of_one(share.norm_shares),
        std::to_string(share.raw_usage_gpu_ms / 1000),
        part_of_one(share.norm_usage),
        part_of_one(share.effective_usage),
        share.fair_share ? part_of_one(*share.fair_share) : std::string(),
        share.account == "root" && share.parent.empty() && share.user.empty() ? std::string()
        : share.level_fair_share                                               ? part_of_one(*share.level_fair_share)
                                                                               : std::string("inf"),
        share.gpu_hours_per_month ? gpu_minutes(*share.gpu_hours_per_month * minutes_per_hour) : std::string(),
        gpu_minutes(share.running_gpu_ms / minute_ms)})
    row.emplace_back(text);
  return row;
}

int shares(const Arguments& arguments, Context& context) {
  const auto answer = Client(context.socket).shares(arguments.text("--user").value_or(""), arguments.text("--account").value_or(""));
  if (arguments.has("--json")) {
    context.out << answer.body << '\n';
    return exit_code::ok;
  }
  using Align = Table::Align;
  Table table({{spoken("Account")},
               {spoken("User")},
               {spoken("RawShares"), Align::right},
               {spoken("NormShares"), Align::right},
               {spoken("RawUsage"), Align::right},
               {spoken("NormUsage"), Align::right},
               {spoken("EffectvUsage"), Align::right},
               {spoken("FairShare"), Align::right},
               {spoken("LevelFS"), Align::right},
               {spoken("GrpTRESMins")},
               {spoken("TRESRunMins")}});
  for (const AccountShare& share : answer.value.shares) table.add(row_of(share, context.terminal.out_is_terminal));
  if (!context.terminal.out_is_terminal || !table.empty()) table.write(context.out, context.terminal);
  else context.err << spoken("Nobody of that name has submitted a job so far.") << '\n';
  return exit_code::ok;
}

}  // namespace

Verb shares_verb() {
  return {.path = "shares",
          .summary = "show the accounts' shares, what was used, and whose turn it is by that",
          .options = {{"--user", "NAME", "Only this user and the accounts that he is in", "-u"},
                      {"--account", "NAME", "Only this account and its users", "-A"},
                      json_option("the API's list")},
          .details =
              "RawUsage is in GPU-seconds and fades by the policy's half_life. EffectvUsage is the part of the usage of the account above; LevelFS is "
              "NormShares / EffectvUsage (inf: nothing was used). Users are ranked level by level, the highest LevelFS first; FairShare is the rank, 1 for "
              "the first. TRESRunMins are the GPU-minutes that running jobs may still use.\n"
              "Examples:\n  ultra shares\n  ultra shares -A vision\n  ultra shares --json | jq '.shares[] | select(.user == \"ada\") | .fair_share'",
          .run = shares};
}

}  // namespace ultramarine::cli
