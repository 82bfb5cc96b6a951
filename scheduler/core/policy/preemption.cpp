// Who yields. `none`: nobody; a running job keeps its devices until it ends.
#include "scheduler/core/policy/policies.h"

namespace ultramarine::core::policy {
namespace {

class Nobody : public Preemption {
 public:
  bool yields(const Job&, const Job&) const override { return false; }
};

}  // namespace

std::unique_ptr<Preemption> no_preemption(const Context&) { return std::make_unique<Nobody>(); }

}  // namespace ultramarine::core::policy
