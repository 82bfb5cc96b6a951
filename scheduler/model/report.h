// What an account got out of the cluster in a month, and what it cost. Plain values; core/report makes them.
#pragma once

#include <boost/describe.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "scheduler/model/time.h"

namespace ultramarine {

/// Of one account alone, without those under it (but see the shares); of attempts the part that lies in the month. Costs are thousandths of the
/// currency.
struct AccountReport {
  std::string account;  // "" of the sum of all
  std::string parent;   // the account that it is under; "": it is under none
  std::int64_t depth = 0;                // how many accounts it is under
  std::int64_t used_gpu_ms = 0;          // GPUs held x time, from the decision to start until they were free again
  std::int64_t failed_gpu_ms = 0;        // of that, by attempts that failed, whole: checkpoints make it no less
  std::int64_t idle_gpu_ms = 0;          // of that, by other attempts before their ranks ran and after the last had ended
  std::int64_t cost_milli = 0;           // of what was used
  std::int64_t cloud_milli = 0;          // what the cloud would ask for the same GPU time
  std::int64_t jobs_tried = 0;           // that first held GPUs in the month; each element of an array is one
  std::int64_t jobs_completed = 0;       // that ended well in the month
  std::int64_t jobs_failed = 0;          // that ended as failed in the month
  std::int64_t jobs_failed_early = 0;    // of these, those whose ranks had run for ten minutes at most, all attempts together
  std::optional<std::int64_t> cost_per_completed_milli;  // cost / jobs_completed; absent: no job ended well
  std::optional<Duration> median_wait_ms;  // from submission to first start (trials are none), of jobs that first started in the month; absent: none did
  std::int64_t boosts_bought = 0;             // favours to its jobs: boosts and extensions
  std::int64_t boosts_bought_gpu_ms = 0;      // GPUs x delay that these cost others (or its own other jobs), by their bills
  std::int64_t boosts_suffered_gpu_ms = 0;    // GPUs x delay of its own jobs, by the bills of all favours
  std::int64_t used_share_permille = 0;       // of all that was used: by it and all accounts under it
  std::optional<std::int64_t> entitled_share_permille;  // by the shares of the tree of accounts, now; absent: it is in none
  bool operator==(const AccountReport&) const = default;
};
BOOST_DESCRIBE_STRUCT(AccountReport, (), (account, parent, depth, used_gpu_ms, failed_gpu_ms, idle_gpu_ms, cost_milli, cloud_milli, jobs_tried, jobs_completed,
                                          jobs_failed, jobs_failed_early, cost_per_completed_milli, median_wait_ms, boosts_bought, boosts_bought_gpu_ms,
                                          boosts_suffered_gpu_ms, used_share_permille, entitled_share_permille))

}  // namespace ultramarine
