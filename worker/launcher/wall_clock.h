// The time that reports carry. For people only: whatever decides measures with a steady clock.
#pragma once

#include <chrono>

#include "scheduler/model/time.h"

namespace ultramarine::launcher {

inline Time wall_clock_now() {
  return {std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count()};
}

}  // namespace ultramarine::launcher
