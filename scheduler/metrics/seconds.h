// Lengths and instants as Prometheus wants them: in seconds.
#pragma once

#include "scheduler/model/time.h"

namespace ultramarine::metrics {

inline double in_seconds(Duration length) { return static_cast<double>(length.ms) / 1000; }
inline double in_seconds(Time instant) { return static_cast<double>(instant.ms) / 1000; }

}  // namespace ultramarine::metrics
