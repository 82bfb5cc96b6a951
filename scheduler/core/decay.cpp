// See decay.h. 2^-f for a fraction f is the product of 2^-(1/2), 2^-(1/4), 2^-(1/8) ... over the bits of f that are set; those are the square
// roots of whole half, of that, and so on, and the compiler takes them.
#include "scheduler/core/decay.h"

#include <algorithm>
#include <array>

#include "scheduler/core/wide.h"

namespace ultramarine::core {
namespace {

constexpr int fraction_bits = 62;  // of a factor: 2^62 stands for 1
constexpr std::uint64_t whole = std::uint64_t{1} << fraction_bits;
constexpr int steps = 48;          // bits of an exponent: neighbours differ by far more than what rounding can add up to
constexpr Duration half_life_max{std::int64_t{1} << 43};
constexpr std::uint64_t one_by_ln_2 = 6'653'256'548'922'161'245u;  // 1 / ln 2, of 2^62

constexpr std::uint64_t square_root(UnsignedWide value) {
  std::uint64_t root = 0;
  for (int bit = 63; bit >= 0; --bit) {
    const std::uint64_t candidate = root | (std::uint64_t{1} << bit);
    if (UnsignedWide{candidate} * candidate <= value) root = candidate;
  }
  return root;
}

/// [k] = 2^-(1 / 2^(k + 1))
constexpr auto roots_of_one_half = [] {
  std::array<std::uint64_t, steps> roots{};
  std::uint64_t previous = whole / 2;
  for (std::uint64_t& root : roots) root = previous = square_root(UnsignedWide{previous} << fraction_bits);
  return roots;
}();

/// 2^(-elapsed / half_life), of `whole`.
std::uint64_t fading(Duration elapsed, Duration half_life) {
  if (elapsed.ms <= 0 || half_life.ms <= 0) return whole;
  const std::int64_t length = std::min(half_life, half_life_max).ms;
  const std::int64_t halvings = elapsed.ms / length;
  if (halvings >= fraction_bits) return 0;
  const auto exponent = static_cast<std::uint64_t>((UnsignedWide(static_cast<std::uint64_t>(elapsed.ms % length)) << steps) / static_cast<std::uint64_t>(length));
  std::uint64_t factor = whole;
  for (int step = 0; step < steps; ++step)
    if (exponent >> (steps - 1 - step) & 1)
      factor = static_cast<std::uint64_t>((UnsignedWide{factor} * roots_of_one_half[static_cast<std::size_t>(step)]) >> fraction_bits);
  return factor >> halvings;
}

}  // namespace

std::int64_t faded(std::int64_t amount, Duration elapsed, Duration half_life) {
  return static_cast<std::int64_t>((UnsignedWide(static_cast<std::uint64_t>(std::max<std::int64_t>(amount, 0))) * fading(elapsed, half_life)) >> fraction_bits);
}

std::int64_t faded_length_ms(Duration length, Duration half_life) {
  if (length.ms <= 0 || half_life.ms <= 0) return std::max<std::int64_t>(length.ms, 0);
  constexpr int scale = 20;
  const auto half_life_ms = static_cast<std::uint64_t>(std::min(half_life, half_life_max).ms);
  const UnsignedWide by_ln_2 = (UnsignedWide{half_life_ms} * one_by_ln_2) >> (fraction_bits - scale);  // half_life / ln 2, of 2^20; below 2^64
  const UnsignedWide counted = (whole - fading(length, half_life)) * by_ln_2;
  constexpr UnsignedWide half = UnsignedWide{1} << (fraction_bits + scale - 1);
  return static_cast<std::int64_t>((counted + half) >> (fraction_bits + scale));
}

}  // namespace ultramarine::core
