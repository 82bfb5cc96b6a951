// The scheduler's time: system time that never goes back, in one life or across restarts. Follows the steady clock between readings,
// so that a step back of the system clock is not seen; a step forward is, and is told apart from time that really passed.
#pragma once

#include <functional>

#include "scheduler/model/time.h"

namespace ultramarine::server {

class Clock {
 public:
  using Source = std::function<Time()>;
  Clock();                              // the machine's clocks
  Clock(Source system, Source steady);  // for tests

  /// Never earlier than any earlier answer. One thread.
  Time now();
  /// From now on no answer is before `earliest` (the newest record of the journal).
  void not_before(Time earliest);
  /// How far the system clock has jumped ahead (by more than a second each time: set by hand, machine slept) since this was last asked.
  /// Silence of that length was nobody's fault.
  Duration take_step();

 private:
  Source system_, steady_;
  Time last_, last_steady_;
  Duration step_;
};

}  // namespace ultramarine::server
