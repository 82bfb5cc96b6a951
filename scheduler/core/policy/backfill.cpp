// May a job start ahead of the order. `conservative` (Mu'alem & Feitelson 2001): wherever no planned start ahead moves, and every
// queued job has a planned start. `none`: nobody starts before a job ahead of him; jobs that can't be planned at all (their
// nodes are away) hold nobody up.
#include <algorithm>

#include "scheduler/core/policy/policies.h"

namespace ultramarine::core::policy {
namespace {

class Conservative : public Backfill {
 public:
  Time not_before(Time now, Time) const override { return now; }
};

class None : public Backfill {
 public:
  Time not_before(Time now, Time latest_ahead) const override { return std::max(now, latest_ahead); }
};

}  // namespace

std::unique_ptr<Backfill> conservative_backfill(const Context&) { return std::make_unique<Conservative>(); }
std::unique_ptr<Backfill> no_backfill(const Context&) { return std::make_unique<None>(); }

}  // namespace ultramarine::core::policy
