// What somebody wants to be told of a job, as options say it: sbatch's --mail-type and --mail-user, and our --webhook.
// Each function throws Problem.
#pragma once

#include <string>
#include <vector>

#include "scheduler/batch/problem.h"
#include "scheduler/model/notification.h"

namespace ultramarine::batch {

/// `END,FAIL`, in any case. ALL is begin, end, fail, requeue and delayed; NONE is nothing.
struct MailTypes {
  std::vector<NotificationEvent> events;  // ascending, each once
  bool each_element = false;              // ARRAY_TASKS
  std::vector<std::string> untold;        // what sbatch knows and nobody here tells
};
MailTypes mail_types_value(const std::string& text, const std::string& where);

/// What ALL stands for.
std::vector<NotificationEvent> all_mail_types();

/// `ada@example.org,bob`: addresses, or names of users.
std::vector<std::string> mail_users_value(const std::string& text, const std::string& where);

/// An http(s) URL.
std::string webhook_value(const std::string& text, const std::string& where);

}  // namespace ultramarine::batch
