// Who is next. `submit_time`: first come, first served; a job that queues again keeps its place. One that depends on others comes when all
// of that has: what was planned while it could not run is not moved by it.
#include "scheduler/core/policy/policies.h"

namespace ultramarine::core::policy {
namespace {

class SubmitTime : public JobOrder {
 public:
  OrderKey key(const Job& job) const override {
    return {job.eligible_ms.value_or(job.submitted_ms).ms, job.job.value};
  }
};

}  // namespace

std::unique_ptr<JobOrder> submit_time(const Context&) { return std::make_unique<SubmitTime>(); }

}  // namespace ultramarine::core::policy
