// Random numbers as a function of counters, not of a running state: any rank gets number (seed, a, b) without the ones
// before it, so nothing depends on who draws first or on how many ranks there are.
#pragma once

#include <cmath>
#include <cstdint>

namespace ultramarine::trainer {

/// The finaliser of SplitMix64 (Steele, Lea & Flood 2014).
constexpr std::uint64_t mix(std::uint64_t value) {
  value += 0x9E3779B97F4A7C15ULL;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ULL;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBULL;
  return value ^ (value >> 31);
}
constexpr std::uint64_t random_bits(std::uint64_t seed, std::uint64_t a, std::uint64_t b) {
  return mix(mix(mix(seed) ^ a) ^ b);
}
/// In [0, 1).
constexpr double random_uniform(std::uint64_t seed, std::uint64_t a, std::uint64_t b) {
  return static_cast<double>(random_bits(seed, a, b) >> 11) * 0x1p-53;
}
/// Mean 0, standard deviation 1 (Box & Muller 1958).
inline double random_normal(std::uint64_t seed, std::uint64_t a, std::uint64_t b) {
  const double radius = std::sqrt(-2.0 * std::log1p(-random_uniform(seed, a, 2 * b)));
  return radius * std::cos(6.283185307179586 * random_uniform(seed, a, 2 * b + 1));
}

}  // namespace ultramarine::trainer
