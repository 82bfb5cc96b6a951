// Products that 64 bits can't hold. The results that are kept are 64 bits again, and stop at the largest instead of running over.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <limits>
#include <optional>

namespace ultramarine::core {

__extension__ typedef __int128 Wide;
__extension__ typedef unsigned __int128 UnsignedWide;

/// The nearest number that 64 bits can hold.
constexpr std::int64_t narrowed(Wide value) {
  constexpr Wide least = std::numeric_limits<std::int64_t>::min(), most = std::numeric_limits<std::int64_t>::max();
  return static_cast<std::int64_t>(std::clamp(value, least, most));
}

constexpr std::int64_t saturating_sum(std::int64_t a, std::int64_t b) { return narrowed(Wide{a} + b); }

/// amount x part / whole, rounded down; none of them negative. 0 when the whole is.
constexpr std::int64_t scaled(std::int64_t amount, std::int64_t part, std::int64_t whole) {
  return whole <= 0 ? 0 : narrowed(Wide{amount} * part / whole);
}

/// A fraction of whole numbers; a denominator of 0 is infinity, whatever the numerator.
struct Fraction {
  UnsignedWide above = 0, below = 1;
};

/// Exactly: by whole parts, then by the turned rests, as in Euclid's algorithm; no product that could run over.
constexpr std::strong_ordering compare(Fraction a, Fraction b) {
  bool turned = false;
  const auto answer = [&](std::strong_ordering order) { return turned ? 0 <=> order : order; };
  while (true) {
    if (a.below == 0 || b.below == 0) return answer((a.below == 0) <=> (b.below == 0));
    if (const auto whole_parts = a.above / a.below <=> b.above / b.below; whole_parts != 0) return answer(whole_parts);
    a = {a.below, a.above % a.below};
    b = {b.below, b.above % b.below};
    turned = !turned;
  }
}

/// The fraction in parts of `one`, rounded down (beyond 64 bits only nearly); nullopt when it is infinite.
constexpr std::optional<std::int64_t> in_parts(Fraction value, std::int64_t one) {
  if (value.below == 0) return std::nullopt;
  while (value.below >> 64 != 0) value = {value.above >> 1, value.below >> 1};  // then rest x one can't run over
  const UnsignedWide whole = value.above / value.below, rest = value.above % value.below;
  const UnsignedWide most = static_cast<UnsignedWide>(std::numeric_limits<std::int64_t>::max()), parts = static_cast<UnsignedWide>(one);
  if (whole >= most / parts) return std::numeric_limits<std::int64_t>::max();
  return static_cast<std::int64_t>(whole * parts + rest * parts / value.below);
}

}  // namespace ultramarine::core
