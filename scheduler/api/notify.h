// Whether what somebody wants to be told of his job can be told: the wish against the cluster file. No I/O.
#pragma once

#include <string>
#include <vector>

#include "scheduler/api/problem.h"
#include "scheduler/model/job.h"
#include "scheduler/protocol/config.h"

namespace ultramarine::api {

/// Throws Problem: an address that is none, a webhook that nobody has allowed.
void check_notifications(const NotificationWish& wish, const protocol::NotificationsSection& section);
/// What will not be told although nothing is wrong with the wish.
std::vector<std::string> notification_warnings(const NotificationWish& wish, const Actor& owner,
                                               const protocol::NotificationsSection& section);

}  // namespace ultramarine::api
