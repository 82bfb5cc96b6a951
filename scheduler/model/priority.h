// What an order by priority is made of: a job's factors, and the shares behind one of them. Answers to questions, never state.
#pragma once

#include <boost/describe.hpp>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/model/job.h"

namespace ultramarine {

/// Factors are whole numbers from 0 to this, which stands for 1.
constexpr std::int64_t factor_one = 1'000'000'000;

struct PriorityFactors {
  std::int64_t age = 0, fair_share = 0, size = 0, qos = 0, partition = 0, account = 0;
  bool operator==(const PriorityFactors&) const = default;
};
BOOST_DESCRIBE_STRUCT(PriorityFactors, (), (age, fair_share, size, qos, partition, account))

/// Jobs that have waited max_age come first, the oldest first; then the higher priority, the one that has waited for longer, the lower number.
struct JobPriority {
  JobId job;
  bool waited_max_age = false;
  Time waits_since_ms;           // when it became able to run: its age counts from then
  std::int64_t priority = 0;     // the sum of `weighted` - `nice`, and never less than 0
  PriorityFactors factors;       // of factor_one
  PriorityFactors weighted;      // each factor x its weight / factor_one, rounded down
  std::int64_t nice = 0;
  bool operator==(const JobPriority&) const = default;
};
BOOST_DESCRIBE_STRUCT(JobPriority, (), (job, waited_max_age, waits_since_ms, priority, factors, weighted, nice))

/// An account of the tree, or a user in one.
struct AccountShare {
  std::string account;  // "root": all of the cluster
  std::string user;     // "": the account itself
  std::string parent;   // the account that it is under; "" of root
  std::int64_t depth = 0;               // below root
  std::int64_t raw_shares = 1;
  std::int64_t norm_shares = factor_one;      // of it and its siblings
  std::int64_t raw_usage_gpu_ms = 0;          // faded by the half-life
  std::int64_t norm_usage = 0;                // of all usage
  std::int64_t effective_usage = 0;           // of that of it and its siblings
  std::optional<std::int64_t> fair_share;     // of a user: the factor of his jobs
  std::optional<std::int64_t> level_fair_share;  // norm_shares / effective_usage, of factor_one; absent: nothing was used, so it is infinite
  std::int64_t running_gpu_ms = 0;            // that its running jobs may still use until their time limits
  std::optional<std::int64_t> gpu_hours_per_month;  // its limit
  bool operator==(const AccountShare&) const = default;
};
BOOST_DESCRIBE_STRUCT(AccountShare, (), (account, user, parent, depth, raw_shares, norm_shares, raw_usage_gpu_ms, norm_usage, effective_usage, fair_share,
                                  level_fair_share, running_gpu_ms, gpu_hours_per_month))

}  // namespace ultramarine
