// A 64-bit hash of memory, for comparing parameters over ranks and for checksums; not for secrets. XXH64 (Yann Collet),
// because it is fast, specified and has published test values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace ultramarine::trainer {

std::uint64_t hash64(const void* data, std::size_t bytes, std::uint64_t seed = 0);
/// 16 hexadecimal digits.
std::string hash_text(std::uint64_t hash);

}  // namespace ultramarine::trainer
