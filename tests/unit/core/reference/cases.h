// Small random stories, as rapidcheck draws and shrinks them: at most 4 nodes of 4 GPUs and 12 jobs, in whole seconds.
#pragma once

#include <rapidcheck.h>

#include "tests/unit/core/reference/scenario.h"

namespace ultramarine::core::reference {

struct CaseOptions {
  bool overdue = false;    // some jobs run longer than they may
  bool shapes = true;      // some ask for nodes x GPUs
  bool uneven = true;      // some clusters have nodes of different sizes
};

rc::Gen<Scenario> any_scenario(const PolicyConfig& policy, const CaseOptions& options);

}  // namespace ultramarine::core::reference
