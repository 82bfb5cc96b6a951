// bf16 on the host: the upper 16 bits of a float32.
#pragma once

#include <bit>
#include <cstdint>

namespace ultramarine::collectives {

/// Exact.
inline float from_bf16(std::uint16_t value) { return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16); }

/// To nearest, ties to even; what is beyond the largest bf16 becomes infinity, a NaN stays a (quiet) NaN.
inline std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = bits + 0x7fffU + ((bits >> 16) & 1U);
  const bool nan = (bits & 0x7fffffffU) > 0x7f800000U;
  return static_cast<std::uint16_t>((nan ? bits | 0x400000U : rounded) >> 16);
}

}  // namespace ultramarine::collectives
