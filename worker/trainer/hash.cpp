// XXH64 as in xxHash's doc/xxhash_spec.md, for little-endian machines.
#include "worker/trainer/hash.h"

#include <bit>
#include <cstring>

namespace ultramarine::trainer {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::uint64_t prime_1 = 0x9E3779B185EBCA87ULL;
constexpr std::uint64_t prime_2 = 0xC2B2AE3D27D4EB4FULL;
constexpr std::uint64_t prime_3 = 0x165667B19E3779F9ULL;
constexpr std::uint64_t prime_4 = 0x85EBCA77C2B2AE63ULL;
constexpr std::uint64_t prime_5 = 0x27D4EB2F165667C5ULL;

template <class Word>
std::uint64_t read(const unsigned char* at) {
  Word word;
  std::memcpy(&word, at, sizeof word);
  return word;
}
std::uint64_t round_of(std::uint64_t lane, std::uint64_t word) {
  return std::rotl(lane + word * prime_2, 31) * prime_1;
}
std::uint64_t merge(std::uint64_t hash, std::uint64_t lane) { return (hash ^ round_of(0, lane)) * prime_1 + prime_4; }

}  // namespace

std::uint64_t hash64(const void* data, std::size_t bytes, std::uint64_t seed) {
  const auto* at = static_cast<const unsigned char*>(data);
  std::size_t left = bytes;
  std::uint64_t hash = seed + prime_5;
  if (left >= 32) {
    std::uint64_t lanes[4] = {seed + prime_1 + prime_2, seed + prime_2, seed, seed - prime_1};
    for (; left >= 32; left -= 32, at += 32) {
      for (int i = 0; i < 4; ++i) lanes[i] = round_of(lanes[i], read<std::uint64_t>(at + 8 * i));
    }
    hash = std::rotl(lanes[0], 1) + std::rotl(lanes[1], 7) + std::rotl(lanes[2], 12) + std::rotl(lanes[3], 18);
    for (const std::uint64_t lane : lanes) hash = merge(hash, lane);
  }
  hash += bytes;
  for (; left >= 8; left -= 8, at += 8)
    hash = std::rotl(hash ^ round_of(0, read<std::uint64_t>(at)), 27) * prime_1 + prime_4;
  if (left >= 4) {
    hash = std::rotl(hash ^ read<std::uint32_t>(at) * prime_1, 23) * prime_2 + prime_3;
    left -= 4;
    at += 4;
  }
  for (; left > 0; --left, ++at) hash = std::rotl(hash ^ *at * prime_5, 11) * prime_1;
  hash = (hash ^ hash >> 33) * prime_2;
  hash = (hash ^ hash >> 29) * prime_3;
  return hash ^ hash >> 32;
}

std::string hash_text(std::uint64_t hash) {
  std::string text(16, '0');
  for (auto digit = text.rbegin(); digit != text.rend(); ++digit, hash >>= 4) *digit = "0123456789abcdef"[hash & 15];
  return text;
}

}  // namespace ultramarine::trainer
