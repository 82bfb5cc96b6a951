// A job's priority: the sum of its factors, each times the policy's weight for it, less its nice value. The factors and what they mean are those
// of Slurm's multifactor plug-in (https://slurm.schedmd.com/priority_multifactor.html), in whole numbers, taken at the last tick.
#pragma once

#include <string>
#include <vector>

#include "scheduler/core/fair_share.h"
#include "scheduler/core/policy/policies.h"
#include "scheduler/model/priority.h"
#include "scheduler/model/state.h"

namespace ultramarine::core {

/// When the job became able to run: submitted, all that it depends on had come, its begin time, released; the last of those.
Time waits_since(const Job& job);

/// It looks into the state that it was made from, and must not outlive it.
///  age         time waited / max_age, at most 1
///  fair_share  see FairShare
///  size        what `size_favours` says: small 1 - GPUs / those of the cluster; large GPUs / those of the cluster; short 1 - log(GPUs x time
///              limit in seconds) / log(GPUs of the cluster x the longest limit of a partition), never less than 0;
///              lanes 1 for jobs of at most express_gpu_hours (GPUs x time limit), else 0 for those with a longer limit than long_limit, middle_lane
///              for the rest
///  qos, partition, account   its priority, from 0 or the lowest (what is less) to 0 or the highest (what is more)
class Priorities {
 public:
  /// O(all jobs that ever were).
  Priorities(const State& state, Time now);
  /// For whoever knows the state's active jobs. O(users + active jobs).
  Priorities(const State& state, Time now, const ActiveJobs& active);

  JobPriority of(const Job& job) const;
  const FairShare& fair_share() const { return fair_share_; }
  const PriorityFactors& weights() const { return weights_; }
  Time tick() const { return tick_; }

 private:
  Priorities(const State& state, Time now, FairShare fair_share);
  std::int64_t size_factor(const Job& job) const;
  const State& state_;
  const Time tick_;
  const FairShare fair_share_;
  PriorityFactors weights_;
  std::int64_t cluster_gpus_ = 0;
  std::int64_t largest_log_ = 0;  // of GPUs x seconds
  std::map<std::string_view, std::int64_t> qos_, partitions_, accounts_;  // name -> factor
};

/// The same order as by the fields of JobPriority (see there).
policy::OrderKey order_key(const JobPriority& priority);

}  // namespace ultramarine::core
