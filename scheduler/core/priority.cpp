// See priority.h.
#include "scheduler/core/priority.h"

#include <algorithm>
#include <boost/mp11/algorithm.hpp>
#include <utility>

#include "scheduler/core/dependencies.h"
#include "scheduler/core/wide.h"

namespace ultramarine::core {
namespace {

/// The logarithm to the base 2 in parts of 2^32: the whole part is the number of bits, each further bit says whether the square of the rest is 2
/// or more. 0 for what is less than 1.
std::int64_t logarithm(std::int64_t value) {
  if (value <= 1) return 0;
  constexpr int fraction_bits = 32;
  std::int64_t whole = 0;
  while (value >> (whole + 1) != 0) ++whole;
  UnsignedWide rest = (UnsignedWide{static_cast<std::uint64_t>(value)} << 62) >> whole;  // from 1 to 2, of 2^62
  std::int64_t fraction = 0;
  for (int bit = 0; bit < fraction_bits; ++bit) {
    rest = (rest * rest) >> 62;
    fraction <<= 1;
    if (rest >> 63 == 0) continue;
    fraction |= 1;
    rest >>= 1;
  }
  return (whole << fraction_bits) | fraction;
}

std::int64_t gpu_seconds(std::int64_t gpus, Duration length) { return narrowed(Wide{gpus} * length.ms / 1000); }

/// name -> its priority's place between the lowest and the highest; 0 is always one of the range.
template <class Section>
std::map<std::string_view, std::int64_t> factors_of(const std::vector<Section>& sections) {
  std::int64_t lowest = 0, highest = 0;
  for (const Section& section : sections) lowest = std::min(lowest, section.priority), highest = std::max(highest, section.priority);
  const Wide range = Wide{highest} - lowest;
  std::map<std::string_view, std::int64_t> factors;
  for (const Section& section : sections)
    factors.emplace(section.name, range == 0 ? 0 : narrowed((Wide{section.priority} - lowest) * factor_one / range));
  return factors;
}

/// 0 for a name that is not there.
std::int64_t factor_in(const std::map<std::string_view, std::int64_t>& factors, std::string_view name) {
  const auto found = factors.find(name);
  return found == factors.end() ? 0 : found->second;
}

using FactorMembers = boost::describe::describe_members<PriorityFactors, boost::describe::mod_public>;

}  // namespace

Time waits_since(const Job& job) {
  Time since = job.eligible_ms.value_or(job.submitted_ms);
  if (job.spec.begin_ms) since = std::max(since, *job.spec.begin_ms);
  if (job.released_ms) since = std::max(since, *job.released_ms);
  return since;
}

Priorities::Priorities(const State& state, Time now) : Priorities(state, now, FairShare(state, now)) {}

Priorities::Priorities(const State& state, Time now, const ActiveJobs& active) : Priorities(state, now, FairShare(state, now, active)) {}

Priorities::Priorities(const State& state, Time now, FairShare fair_share)
    : state_(state),
      tick_(priority_tick(state.policy, now)),
      fair_share_(std::move(fair_share)),
      qos_(factors_of(state.cluster.qos)),
      partitions_(factors_of(state.cluster.partitions)),
      accounts_(factors_of(state.cluster.accounts)) {
  boost::mp11::mp_for_each<FactorMembers>([&](auto member) {
    const auto weight = state.policy.weights.find(member.name);
    if (weight != state.policy.weights.end()) weights_.*member.pointer = std::max<std::int64_t>(weight->second, 0);
  });
  for (const NodeConfig& node : state.cluster.nodes) cluster_gpus_ += node.gpus;
  Duration longest{0};
  for (const PartitionConfig& partition : state.cluster.partitions) longest = std::max(longest, partition.max_time_ms);
  largest_log_ = logarithm(gpu_seconds(cluster_gpus_, longest));
}

std::int64_t Priorities::size_factor(const Job& job) const {
  const std::int64_t gpus = std::clamp<std::int64_t>(total_gpus(job.spec.resources), 0, cluster_gpus_);
  if (state_.policy.size_favours == "large") return scaled(gpus, factor_one, cluster_gpus_);
  if (state_.policy.size_favours == "short") {
    const std::int64_t log = std::min(logarithm(gpu_seconds(gpus, job.spec.time_limit_ms)), largest_log_);
    return factor_one - scaled(log, factor_one, largest_log_);
  }
  if (state_.policy.size_favours == "lanes") {
    const bool is_express = Wide{gpus} * job.spec.time_limit_ms.ms <= Wide{state_.policy.express_gpu_hours} * hours(1).ms;
    if (is_express) return factor_one;
    return job.spec.time_limit_ms > state_.policy.long_limit_ms ? 0 : scaled(state_.policy.middle_lane_permille, factor_one, 1000);
  }
  return scaled(cluster_gpus_ - gpus, factor_one, cluster_gpus_);
}

JobPriority Priorities::of(const Job& job) const {
  JobPriority result{.job = job.job, .waits_since_ms = waits_since(job), .nice = job.spec.nice};
  const Duration max_age{std::max<std::int64_t>(state_.policy.max_age_ms.ms, 1)};
  const Duration age = awaits_others(job) || result.waits_since_ms > tick_ ? Duration{0} : tick_ - result.waits_since_ms;
  result.waited_max_age = state_.policy.first_after_max_age && age >= max_age;
  result.factors = {.age = scaled(std::min(age, max_age).ms, factor_one, max_age.ms),
                    .fair_share = fair_share_.factor(job.spec.account, user_name(job.owner)),
                    .size = size_factor(job),
                    .qos = factor_in(qos_, job.spec.qos),
                    .partition = factor_in(partitions_, job.spec.partition),
                    .account = factor_in(accounts_, job.spec.account)};
  Wide sum = -Wide{job.spec.nice};
  boost::mp11::mp_for_each<FactorMembers>([&](auto member) {
    result.weighted.*member.pointer = scaled(result.factors.*member.pointer, weights_.*member.pointer, factor_one);
    sum += result.weighted.*member.pointer;
  });
  result.priority = narrowed(std::max<Wide>(sum, 0));
  return result;
}

policy::OrderKey order_key(const JobPriority& priority) {
  if (priority.waited_max_age) return {0, priority.waits_since_ms.ms, priority.job.value, 0};
  return {1, -priority.priority, priority.waits_since_ms.ms, priority.job.value};
}

}  // namespace ultramarine::core
