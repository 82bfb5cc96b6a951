// Instants and lengths of time, in integer milliseconds, and the numbers that name things. Each is a type of its own, so
// that no two can be swapped by mistake. Nothing here reads a clock: time always comes in as an argument.
#pragma once

#include <compare>
#include <cstdint>

namespace ultramarine {

struct Duration {
  std::int64_t ms = 0;
  friend constexpr auto operator<=>(Duration, Duration) = default;
};
/// Milliseconds since the Unix epoch (UTC), or since the start of a trace.
struct Time {
  std::int64_t ms = 0;
  friend constexpr auto operator<=>(Time, Time) = default;
};
struct JobId {
  std::int64_t value = 0;
  friend constexpr auto operator<=>(JobId, JobId) = default;
};

constexpr Duration milliseconds(std::int64_t n) { return {n}; }
constexpr Duration seconds(std::int64_t n) { return {n * 1000}; }
constexpr Duration minutes(std::int64_t n) { return {n * 60'000}; }
constexpr Duration hours(std::int64_t n) { return {n * 3'600'000}; }

constexpr Time operator+(Time time, Duration length) { return {time.ms + length.ms}; }
constexpr Time operator-(Time time, Duration length) { return {time.ms - length.ms}; }
constexpr Duration operator-(Time later, Time earlier) { return {later.ms - earlier.ms}; }
constexpr Duration operator+(Duration a, Duration b) { return {a.ms + b.ms}; }

// The codec and the state hash see through these types to the one integer inside.
constexpr std::int64_t& integer_inside(Duration& value) { return value.ms; }
constexpr std::int64_t& integer_inside(Time& value) { return value.ms; }
constexpr std::int64_t& integer_inside(JobId& value) { return value.value; }
template <class T>
concept StrongInteger = requires(T& value) { integer_inside(value); };

}  // namespace ultramarine
