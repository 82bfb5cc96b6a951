// How jobs go on behind one that has to wait. `conservative` (Mu'alem & Feitelson 2001): wherever no planned start ahead moves, and every
// queued job has a planned start. `none`: nobody starts before a job ahead of him. `skip`: whoever fits starts, and a large job may starve.
// `easy` (Lifka 1995): whoever does not delay the first that waits; `easy_sjf`: the same, the shortest first (Tsafrir et al. 2007).
// Jobs that can't be planned at all (their nodes are away) hold nobody up.
#include "scheduler/core/policy/policies.h"

namespace ultramarine::core::policy {
namespace {

class Conservative : public Backfill {
 public:
  bool plans_everybody() const override { return true; }
};

class None : public Backfill {
 public:
  bool plans_everybody() const override { return true; }
  bool keeps_order() const override { return true; }
};

class Skip : public Backfill {};

class Easy : public Backfill {
 public:
  bool promises_first() const override { return true; }
};

class EasySjf : public Easy {
 public:
  bool tries_shortest_first() const override { return true; }
};

}  // namespace

std::unique_ptr<Backfill> conservative_backfill(const Context&) { return std::make_unique<Conservative>(); }
std::unique_ptr<Backfill> no_backfill(const Context&) { return std::make_unique<None>(); }
std::unique_ptr<Backfill> skip_backfill(const Context&) { return std::make_unique<Skip>(); }
std::unique_ptr<Backfill> easy_backfill(const Context&) { return std::make_unique<Easy>(); }
std::unique_ptr<Backfill> easy_sjf_backfill(const Context&) { return std::make_unique<EasySjf>(); }

}  // namespace ultramarine::core::policy
