// Small random stories, as rapidcheck draws and shrinks them: at most 4 nodes of 4 GPUs and 12 jobs, in whole seconds.
#pragma once

#include <rapidcheck.h>

#include "tests/unit/core/reference/scenario.h"

namespace ultramarine::core::reference {

struct CaseOptions {
  bool overdue = false;    // some jobs run longer than they may
  bool shapes = true;      // some ask for nodes x GPUs
  bool uneven = true;      // some clusters have nodes of different sizes
  bool kinds = true;       // nodes have types and leaf switches, and jobs ask for types and for names
  bool needs = false;      // jobs ask for CPUs and for whole nodes
  bool caps = false;       // accounts, users, QOS and the partition have hard caps on GPUs
  bool people = false;     // jobs are cancelled, held and released, nodes drained and resumed, silent and back
};

rc::Gen<Scenario> any_scenario(const PolicyConfig& policy, const CaseOptions& options);

}  // namespace ultramarine::core::reference
