// Who is next. `submit_time`: first come, first served; a job that queues again keeps its place. One that depends on others comes when all
// of that has: what was planned while it could not run is not moved by it.
#include "scheduler/core/policy/policies.h"

namespace ultramarine::core::policy {
namespace {

class SubmitTime : public JobOrder {
 public:
  bool before(const Job& a, const Job& b) const override {
    const Time a_since = a.eligible_ms.value_or(a.submitted_ms), b_since = b.eligible_ms.value_or(b.submitted_ms);
    if (a_since != b_since) return a_since < b_since;
    return a.job < b.job;
  }
};

}  // namespace

std::unique_ptr<JobOrder> submit_time(const PolicyConfig&) { return std::make_unique<SubmitTime>(); }

}  // namespace ultramarine::core::policy
