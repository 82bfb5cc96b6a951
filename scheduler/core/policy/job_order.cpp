// Who is next. `submit_time`: first come, first served; a job that queues again keeps its place.
#include "scheduler/core/policy/policies.h"

namespace ultramarine::core::policy {
namespace {

class SubmitTime : public JobOrder {
 public:
  bool before(const Job& a, const Job& b) const override {
    if (a.submitted_ms != b.submitted_ms) return a.submitted_ms < b.submitted_ms;
    return a.job < b.job;
  }
};

}  // namespace

std::unique_ptr<JobOrder> submit_time(const PolicyConfig&) { return std::make_unique<SubmitTime>(); }

}  // namespace ultramarine::core::policy
