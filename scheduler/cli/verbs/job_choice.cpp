#include "scheduler/cli/verbs/job_choice.h"

#include <algorithm>

#include "scheduler/cli/language.h"
#include "scheduler/cli/nearest.h"
#include "scheduler/cli/words.h"

namespace ultramarine::cli {

void choose_owner(const Arguments& arguments, JobFilter& filter) {
  filter.account = arguments.text("--account").value_or("");
  filter.user = arguments.text("--user").value_or("");
  if (!arguments.has("--me")) return;
  if (!filter.user.empty())
    usage_error("--me", spoken("can't be combined with {0}", "--user"), spoken("give one of them"));
  filter.user = own_user_name();
}

std::string near_owners(Client& client, const JobFilter& filter) {
  if (filter.user.empty() && filter.account.empty()) return "";
  JobFilter everybody;
  everybody.all = true;
  std::vector<std::string> users, accounts;
  for (const protocol::JobView& view : client.jobs(everybody).value.jobs) {
    users.push_back(view.details.owner.name);
    accounts.push_back(view.details.spec.account);
  }
  std::string text;
  const auto suggest = [&](const std::string& option, const std::string& name, const std::vector<std::string>& known) {
    const bool is_known = std::find(known.begin(), known.end(), name) != known.end();
    const std::string near = name.empty() || is_known ? "" : did_you_mean(name, known, "");
    if (!near.empty()) text += " " + option + " " + name + ": " + near;
  };
  suggest("--user", filter.user, users);
  suggest("--account", filter.account, accounts);
  return text;
}

}  // namespace ultramarine::cli
