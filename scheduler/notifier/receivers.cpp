#include "scheduler/notifier/receivers.h"

#include <algorithm>
#include <set>

#include "scheduler/core/limits.h"
#include "scheduler/protocol/addresses.h"

namespace ultramarine::notifier {
namespace {

/// Who wants to hear of the end hears of a bad one, too.
bool wants(const std::vector<NotificationEvent>& events, NotificationEvent event) {
  const auto has = [&](NotificationEvent one) { return std::find(events.begin(), events.end(), one) != events.end(); };
  return has(event) || (event == NotificationEvent::fail && has(NotificationEvent::end));
}

bool is_of_time_limit(NotificationEvent event) { return event >= NotificationEvent::time_limit_50; }

/// Shares of time limits are told of each element, as sbatch does.
bool is_told_to_owner(const Occasion& occasion, const Job& job) {
  const NotificationWish& wish = job.spec.notify;
  if (!wants(wish.events, occasion.event)) return false;
  if (!job.array || is_of_time_limit(occasion.event)) return !occasion.of_array;
  return occasion.of_array != wish.each_element;
}

/// `account` or one above it.
bool is_under(const std::string& account, const std::vector<std::string>& accounts, const ClusterConfig& cluster) {
  const auto chain = core::account_and_above(cluster, account);
  return std::any_of(chain.begin(), chain.end(), [&](const AccountConfig* one) {
    return std::find(accounts.begin(), accounts.end(), one->name) != accounts.end();
  });
}

bool is_told_to(const protocol::WebhookSection& webhook, const Occasion& occasion, const Job& job,
                const ClusterConfig& cluster) {
  if (job.array && !occasion.of_array) return false;
  if (webhook.events.empty() ? is_of_time_limit(occasion.event) : !wants(webhook.events, occasion.event)) return false;
  return webhook.accounts.empty() || is_under(job.spec.account, webhook.accounts, cluster);
}

struct Receiver {
  Channel channel;
  std::string address;
  bool cluster_wide;
};

std::vector<Receiver> receivers_of(const Occasion& occasion, const Job& job, const ClusterConfig& cluster,
                                   const protocol::NotificationsSection& section) {
  std::vector<Receiver> receivers;
  std::set<std::pair<Channel, std::string>> known;
  const auto add = [&](Channel channel, const std::string& address, bool cluster_wide) {
    if (!address.empty() && known.emplace(channel, address).second)
      receivers.push_back({channel, address, cluster_wide});
  };
  if (is_told_to_owner(occasion, job)) {
    const NotificationWish& wish = job.spec.notify;
    if (section.mail != "off" && wish.mail)
      for (const std::string& user : wish.mail_to.empty() ? std::vector{job.owner.name} : wish.mail_to)
        add(Channel::mail, mail_address(user, section), false);
    if (protocol::is_allowed(wish.webhook, section.webhooks_allowed)) add(Channel::webhook, wish.webhook, false);
  }
  for (const protocol::WebhookSection& webhook : section.webhook)
    if (is_told_to(webhook, occasion, job, cluster)) add(Channel::webhook, webhook.url, true);
  return receivers;
}

}  // namespace

std::string mail_address(const std::string& user, const protocol::NotificationsSection& section) {
  if (user.find('@') != std::string::npos) return protocol::why_no_mail_address(user).empty() ? user : "";
  if (!protocol::why_no_mail_name(user).empty()) return "";
  return section.mail_domain.empty() ? user : user + "@" + section.mail_domain;
}

bool is_on(const protocol::NotificationsSection& section) {
  return section.mail != "off" || !section.webhook.empty() || !section.webhooks_allowed.empty();
}

bool may_go(const Delivery& delivery, const protocol::NotificationsSection& section) {
  if (delivery.channel == Channel::mail) return section.mail != "off";
  if (!delivery.cluster_wide) return protocol::is_allowed(delivery.address, section.webhooks_allowed);
  return std::any_of(section.webhook.begin(), section.webhook.end(),
                     [&](const auto& webhook) { return webhook.url == delivery.address; });
}

std::vector<Delivery> deliveries_of(const Occasion& occasion, const State& state,
                                    const protocol::NotificationsSection& section) {
  std::vector<Delivery> deliveries;
  const auto job = state.jobs.find(occasion.job);
  if (job == state.jobs.end()) return deliveries;
  const std::vector<Receiver> receivers = receivers_of(occasion, job->second, state.cluster, section);
  if (receivers.empty()) return deliveries;
  const Notice notice = notice_of(occasion, state);
  for (const Receiver& receiver : receivers) {
    Delivery delivery{.channel = receiver.channel,
                      .address = receiver.address,
                      .cluster_wide = receiver.cluster_wide,
                      .notice = notice};
    if (receiver.cluster_wide && delivery.notice.failure) delivery.notice.failure->last_lines.clear();
    deliveries.push_back(std::move(delivery));
  }
  return deliveries;
}

}  // namespace ultramarine::notifier
