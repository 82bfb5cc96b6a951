#include "scheduler/api/notify.h"

#include "scheduler/protocol/addresses.h"

namespace ultramarine::api {
namespace {

constexpr std::size_t mail_to_max = 10;

std::string why_no_receiver(const std::string& user) {
  return user.find('@') == std::string::npos ? protocol::why_no_mail_name(user) : protocol::why_no_mail_address(user);
}

}  // namespace

void check_notifications(const NotificationWish& wish, const protocol::NotificationsSection& section) {
  if (wish.mail_to.size() > mail_to_max)
    throw bad_request("spec.notify.mail_to", std::to_string(wish.mail_to.size()) + " addresses are too many",
                      "give at most " + std::to_string(mail_to_max) + ", or that of a list");
  for (std::size_t i = 0; i < wish.mail_to.size(); ++i)
    if (const std::string why = why_no_receiver(wish.mail_to[i]); !why.empty())
      throw bad_request("spec.notify.mail_to[" + std::to_string(i) + "]", "no mail can go there: " + why,
                        "give an address like ada@example.org, or a user's name");
  if (wish.webhook.empty()) return;
  if (const std::string why = protocol::why_no_url(wish.webhook, {"https", "http"}); !why.empty())
    throw bad_request("spec.notify.webhook", "this is no URL that can be used: " + why,
                      "give it like https://hooks.example.com/team");
  if (protocol::is_allowed(wish.webhook, section.webhooks_allowed)) return;
  std::string allowed;
  for (const std::string& prefix : section.webhooks_allowed) allowed += (allowed.empty() ? "" : " or ") + prefix;
  const std::string remedy = "ask an admin for it: webhooks_allowed in [notifications] of the cluster file";
  Problem problem = allowed.empty() ? not_permitted("this cluster calls no webhooks of its users", remedy)
                                    : not_permitted("this cluster calls no webhook of its users there",
                                                    "give one that begins with " + allowed + ", or " + remedy);
  problem.field = "spec.notify.webhook";
  throw problem;
}

std::vector<std::string> notification_warnings(const NotificationWish& wish, const Actor& owner,
                                               const protocol::NotificationsSection& section) {
  std::vector<std::string> warnings;
  if (!wish.mail) return warnings;
  if (section.mail == "off")
    warnings.push_back(
        "this cluster sends no mail: --mail-type is kept without effect until an admin switches mail on in "
        "[notifications] of the cluster file");
  else if (wish.mail_to.empty() && !why_no_receiver(owner.name).empty())
    warnings.push_back("no mail can go to a user of your name: say where with --mail-user");
  return warnings;
}

}  // namespace ultramarine::api
