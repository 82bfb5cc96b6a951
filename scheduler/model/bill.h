// What a favour to one job costs the others: the bill that is shown before it is granted and recorded when it is. Plain values; core/billing
// makes them.
#pragma once

#include <boost/describe.hpp>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/model/job.h"

namespace ultramarine {

/// What is changed by hand: a job put ahead of all others (boost), another's job held, ended or given more time, nodes kept for somebody.
BOOST_DEFINE_FIXED_ENUM_CLASS(Favour, std::uint8_t, boost, hold, cancel, requeue, extend, reserve)

/// A queued job whose planned start moves. Absent: it had none, or has none any more.
struct MovedStart {
  JobId job;
  std::string user, account;
  std::int64_t gpus = 0;
  std::optional<Time> before_ms, after_ms;
  bool operator==(const MovedStart&) const = default;
};
BOOST_DESCRIBE_STRUCT(MovedStart, (), (job, user, account, gpus, before_ms, after_ms))

/// What an account holds of the cluster's GPU time in the seven days from the bill on, by the plan: thousandths of all that is held.
struct ShareOfWeek {
  std::string account;
  std::int64_t before_permille = 0, after_permille = 0;
  bool operator==(const ShareOfWeek&) const = default;
};
BOOST_DESCRIBE_STRUCT(ShareOfWeek, (), (account, before_permille, after_permille))

struct Bill {
  std::int64_t bill = 0;  // from 1; 0: not granted so far
  Favour favour = Favour::boost;
  JobId job;              // 0: it is about nodes
  std::string detail;     // of the favour: the nodes, the name of the reservation, the time granted
  std::vector<MovedStart> delayed, helped;  // in the order of the plan
  std::int64_t displaced_gpu_ms = 0;        // sum over delayed jobs of GPUs x delay
  std::vector<ShareOfWeek> shares;          // by account's name
  std::string reason;
  Actor actor;
  Time at_ms;
  bool operator==(const Bill&) const = default;
};
BOOST_DESCRIBE_STRUCT(Bill, (), (bill, favour, job, detail, delayed, helped, displaced_gpu_ms, shares, reason, actor, at_ms))

}  // namespace ultramarine
