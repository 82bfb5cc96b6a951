// A calendar entry that keeps nodes for accounts for some time, or for nobody: a maintenance window.
#pragma once

#include <boost/describe.hpp>
#include <string>
#include <vector>

#include "scheduler/model/job.h"

namespace ultramarine {

struct Reservation {
  std::string name;
  std::vector<std::string> nodes;     // names, in node order
  std::vector<std::string> accounts;  // their jobs may run inside, when they name it; empty = nobody's: maintenance
  Time start_ms, end_ms;              // [start, end)
  std::string reason;                 // never empty
  Actor actor;                        // who made it
  bool operator==(const Reservation&) const = default;
};
BOOST_DESCRIBE_STRUCT(Reservation, (), (name, nodes, accounts, start_ms, end_ms, reason, actor))

}  // namespace ultramarine
