// Who yields. `none`: nobody; a running job keeps its devices until it ends. `by_order`: at every round all unfinished jobs, running ones too,
// take their places on empty nodes in the policy's order, and who gets none waits. It is for comparison runs, in which a stop costs nothing.
#include "scheduler/core/policy/policies.h"

namespace ultramarine::core::policy {
namespace {

class Nobody : public Preemption {
 public:
  bool ranks_running() const override { return false; }
};

class ByOrder : public Preemption {
 public:
  bool ranks_running() const override { return true; }
};

}  // namespace

std::unique_ptr<Preemption> no_preemption(const Context&) { return std::make_unique<Nobody>(); }
std::unique_ptr<Preemption> preemption_by_order(const Context&) { return std::make_unique<ByOrder>(); }

}  // namespace ultramarine::core::policy
