// Who is next: the higher priority (core/priority), which changes at ticks alone. Who has waited max_age is ahead of all who have not, so that
// nobody starves whatever the weights.
#include "scheduler/core/policy/policies.h"
#include "scheduler/core/priority.h"

namespace ultramarine::core::policy {
namespace {

class Multifactor : public JobOrder {
 public:
  explicit Multifactor(const Context& context)
      : priorities_(context.state, context.now, context.active),
        next_tick_(priority_tick(context.state.policy, context.now) + context.state.policy.priority_interval_ms) {}

  OrderKey key(const Job& job) const override { return order_key(priorities_.of(job)); }
  std::optional<Time> changes_at() const override { return next_tick_; }

 private:
  const Priorities priorities_;
  const Time next_tick_;
};

}  // namespace

std::unique_ptr<JobOrder> multifactor(const Context& context) { return std::make_unique<Multifactor>(context); }

}  // namespace ultramarine::core::policy
