// Orders by how much is left or was had, for comparison runs. `shortest`: time limit. `least_remaining` (SRTF): time limit minus the time that
// all attempts ran so far. `least_remaining_gpu_time` (SRSF): that times GPUs. `least_attained` (2D-LAS in levels, Tiresias, Gu et al. 2019):
// how many of the policy's thresholds the GPU-seconds held so far have reached. Equals come in the order of submission. A trial costs nobody his place: it
// counts for none of them.
#include <algorithm>

#include "scheduler/core/policy/policies.h"

namespace ultramarine::core::policy {
namespace {

std::int64_t came_ms(const Job& job) { return job.eligible_ms.value_or(job.submitted_ms).ms; }

class Shortest : public JobOrder {
 public:
  OrderKey key(const Job& job) const override { return {job.spec.time_limit_ms.ms, came_ms(job), job.job.value}; }
};

class LeastRemaining : public JobOrder {
 public:
  LeastRemaining(Time now, bool counts_gpus) : now_(now), counts_gpus_(counts_gpus) {}

  OrderKey key(const Job& job) const override {
    std::int64_t left_ms = job.spec.time_limit_ms.ms;
    for (const Attempt& attempt : job.attempts)
      if (attempt.started_ms && !attempt.trial_ms) left_ms -= (attempt.ended_ms.value_or(now_) - *attempt.started_ms).ms;
    left_ms = std::max<std::int64_t>(left_ms, 0);
    return {counts_gpus_ ? left_ms * total_gpus(job.spec.resources) : left_ms, came_ms(job), job.job.value};
  }

 private:
  const Time now_;
  const bool counts_gpus_;
};

class LeastAttained : public JobOrder {
 public:
  LeastAttained(std::vector<std::int64_t> thresholds_gpu_s, Time now) : thresholds_gpu_s_(std::move(thresholds_gpu_s)), now_(now) {}

  OrderKey key(const Job& job) const override { return {level(job), came_ms(job), job.job.value}; }

  std::optional<Time> next_change(const Job& job) const override {
    const auto level_now = static_cast<std::size_t>(level(job));
    if (level_now == thresholds_gpu_s_.size()) return std::nullopt;
    const std::int64_t gpus = std::max<std::int64_t>(total_gpus(job.spec.resources), 1);
    const std::int64_t missing_gpu_ms = thresholds_gpu_s_[level_now] * 1000 - attained_gpu_ms(job);
    const std::int64_t reached_ms = now_.ms + (missing_gpu_ms + gpus - 1) / gpus;
    return Time{(reached_ms + 999) / 1000 * 1000};  // a whole second
  }

 private:
  std::int64_t attained_gpu_ms(const Job& job) const {
    std::int64_t held_ms = 0;
    for (const Attempt& attempt : job.attempts)
      if (!attempt.trial_ms) held_ms += (attempt.ended_ms.value_or(now_) - attempt.decided_ms).ms;
    return held_ms * total_gpus(job.spec.resources);
  }

  std::int64_t level(const Job& job) const {
    const std::int64_t attained = attained_gpu_ms(job);
    return std::count_if(thresholds_gpu_s_.begin(), thresholds_gpu_s_.end(), [&](std::int64_t threshold) { return threshold * 1000 <= attained; });
  }

  const std::vector<std::int64_t> thresholds_gpu_s_;  // ascending
  const Time now_;
};

}  // namespace

std::unique_ptr<JobOrder> shortest(const Context&) { return std::make_unique<Shortest>(); }
std::unique_ptr<JobOrder> least_remaining(const Context& context) { return std::make_unique<LeastRemaining>(context.now, false); }
std::unique_ptr<JobOrder> least_remaining_gpu_time(const Context& context) { return std::make_unique<LeastRemaining>(context.now, true); }
std::unique_ptr<JobOrder> least_attained(const Context& context) {
  return std::make_unique<LeastAttained>(context.state.policy.thresholds_gpu_s, context.now);
}

}  // namespace ultramarine::core::policy
