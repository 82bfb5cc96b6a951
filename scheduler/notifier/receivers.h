// Who is told: what a job's owner wished and what the cluster file says, put together. Pure.
#pragma once

#include <boost/describe.hpp>
#include <string>
#include <vector>

#include "scheduler/notifier/notice.h"
#include "scheduler/protocol/config.h"

namespace ultramarine::notifier {

BOOST_DEFINE_FIXED_ENUM_CLASS(Channel, std::uint8_t, webhook, mail)

/// One notice to one receiver: what is kept until it has arrived.
struct Delivery {
  std::int64_t number = 0;  // in the scheduler's store
  Channel channel = Channel::webhook;
  std::string address;        // a URL, or an e-mail address
  bool cluster_wide = false;  // a webhook of the cluster file: what programs printed isn't for it
  Notice notice;
};
BOOST_DESCRIBE_STRUCT(Delivery, (), (number, channel, address, cluster_wide, notice))

/// Without numbers; nobody gets the same twice. `state`: that of the occasion.
std::vector<Delivery> deliveries_of(const Occasion& occasion, const State& state,
                                    const protocol::NotificationsSection& section);

/// Where mail for a user or an address goes; "" = nowhere: no address can be made of it.
std::string mail_address(const std::string& user, const protocol::NotificationsSection& section);

/// Whether anybody may be told anything.
bool is_on(const protocol::NotificationsSection& section);

/// Whether what was kept may still go there: the cluster file may have changed since.
bool may_go(const Delivery& delivery, const protocol::NotificationsSection& section);

}  // namespace ultramarine::notifier
