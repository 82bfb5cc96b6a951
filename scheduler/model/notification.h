// What people want to be told of a job without asking. Plain values; scheduler/notifier says when each happens and tells it.
#pragma once

#include <boost/describe.hpp>
#include <string>
#include <vector>

#include "scheduler/model/time.h"

namespace ultramarine {

/// What can be told of a job. As sbatch's --mail-type has them, but for `delayed`, which is ours:
///  begin      its ranks run
///  end        it has ended, however
///  fail       it has ended badly
///  requeue    its attempt is over and it waits again
///  delayed    a favour to somebody else moved its planned start
///  time_limit_50, time_limit_80, time_limit_90, time_limit    so many percent of its time limit are used, or all of it
BOOST_DEFINE_FIXED_ENUM_CLASS(NotificationEvent, std::uint8_t, begin, end, fail, requeue, delayed, time_limit_50, time_limit_80, time_limit_90, time_limit)

/// What a job's owner wants to be told, and where.
struct NotificationWish {
  std::vector<NotificationEvent> events;  // ascending, each once; empty = nothing is told
  bool mail = false;                      // by e-mail, to `mail_to`
  std::vector<std::string> mail_to;       // addresses, or names of users; empty = the owner
  std::string webhook;                    // URL that gets them as JSON, too; "" = none. It may be a secret: shown only to those who may see all of the job
  bool each_element = false;              // of an array: each of its jobs; else begin, end, fail, requeue and delayed are told once for all of them
  bool operator==(const NotificationWish&) const = default;
};
BOOST_DESCRIBE_STRUCT(NotificationWish, (), (events, mail, mail_to, webhook, each_element))

}  // namespace ultramarine
