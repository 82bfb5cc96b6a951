// What the ranks of a job said of their training at one moment.
#pragma once

#include <boost/describe.hpp>
#include <cstdint>

#include "scheduler/model/time.h"

namespace ultramarine {

struct ProgressPoint {
  Time at_ms;
  std::int64_t attempt = 1;
  std::int64_t step = 0;
  double loss = 0;
  double tokens_per_s = 0;
};
BOOST_DESCRIBE_STRUCT(ProgressPoint, (), (at_ms, attempt, step, loss, tokens_per_s))

}  // namespace ultramarine
