// now = the later of the system clock and what the steady clock says has passed since the last answer.
#include "scheduler/server/clock.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace ultramarine::server {

namespace {
template <class AnyClock>
Time read() {
  return {std::chrono::duration_cast<std::chrono::milliseconds>(AnyClock::now().time_since_epoch()).count()};
}
}  // namespace

Clock::Clock() : Clock(read<std::chrono::system_clock>, read<std::chrono::steady_clock>) {}

Clock::Clock(Source system, Source steady)
    : system_(std::move(system)), steady_(std::move(steady)), last_(system_()), last_steady_(steady_()) {}

Time Clock::now() {
  const Time steady = steady_();
  Time answer = last_ + (steady - last_steady_);
  const Time system = system_();
  if (system > answer) {
    if (system - answer > seconds(1)) step_ = step_ + (system - answer);
    answer = system;
  }
  last_ = std::max(last_, answer);
  last_steady_ = steady;
  return last_;
}

void Clock::not_before(Time earliest) { last_ = std::max(last_, earliest); }

Duration Clock::take_step() { return std::exchange(step_, Duration{}); }

}  // namespace ultramarine::server
