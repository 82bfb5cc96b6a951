// How the past fades: what was used one half-life ago counts half, two half-lives ago a quarter, and so on, continuously. In fixed-point
// integers, so that every machine arrives at the same sums.
#pragma once

#include <cstdint>

#include "scheduler/model/time.h"

namespace ultramarine::core {

/// `amount` (not negative) after `elapsed`: amount x 2^(-elapsed / half_life), rounded down. Exact after whole half-lives; never more than before.
/// A half-life of 0 or less: nothing fades. One of more than 278 years is taken as that.
std::int64_t faded(std::int64_t amount, Duration elapsed, Duration half_life);

/// What holding one thing for `length` counts at its end, in milliseconds: the integral of 2^(-t / half_life) over t from 0 to length, which is
/// half_life / ln 2 x (1 - 2^(-length / half_life)), to the nearest millisecond. Never more than `length`.
std::int64_t faded_length_ms(Duration length, Duration half_life);

}  // namespace ultramarine::core
