// The hash's mixing (hasher.h), and the two hashes that the journal carries: of the state and of the policy.
#include <bit>

#include "scheduler/core/hasher.h"
#include "scheduler/core/scheduler.h"

namespace ultramarine::core {
namespace {

constexpr std::uint64_t factor_1 = 0x87c37b91114253d5u, factor_2 = 0x4cf5ad432745937fu;

std::uint64_t mix_1(std::uint64_t word) { return std::rotl(word * factor_1, 31) * factor_2; }
std::uint64_t mix_2(std::uint64_t word) { return std::rotl(word * factor_2, 33) * factor_1; }

std::uint64_t finish(std::uint64_t word) {
  word = (word ^ (word >> 33)) * 0xff51afd7ed558ccdu;
  word = (word ^ (word >> 33)) * 0xc4ceb9fe1a85ec53u;
  return word ^ (word >> 33);
}

}  // namespace

void Hasher::word(std::uint64_t value) {
  if (++words_ % 2 == 1) {
    waiting_ = value;
    return;
  }
  first_ ^= mix_1(waiting_);
  first_ = (std::rotl(first_, 27) + second_) * 5 + 0x52dce729;
  second_ ^= mix_2(value);
  second_ = (std::rotl(second_, 31) + first_) * 5 + 0x38495ab5;
}

void Hasher::add(const std::string& text) {
  word(text.size());
  for (std::size_t at = 0; at < text.size(); at += 8) {
    std::uint64_t packed = 0;  // little-endian by hand: the machine's own order doesn't matter
    for (std::size_t byte = 0; byte < 8 && at + byte < text.size(); ++byte)
      packed |= static_cast<std::uint64_t>(static_cast<unsigned char>(text[at + byte])) << (8 * byte);
    word(packed);
  }
}

std::string Hasher::hex() const {
  std::uint64_t first = first_, second = second_;
  if (words_ % 2 == 1) first ^= mix_1(waiting_);
  first ^= words_ * 8;
  second ^= words_ * 8;
  first += second;
  second += first;
  first = finish(first);
  second = finish(second);
  first += second;
  second += first;
  std::string digits;
  for (const std::uint64_t half : {first, second})
    for (int shift = 60; shift >= 0; shift -= 4) digits += "0123456789abcdef"[(half >> shift) & 15];
  return digits;
}

std::string Scheduler::state_hash() const { return hash_of(state()); }
std::string Scheduler::policy_hash() const { return hash_of(state().policy); }
std::string Scheduler::state_shape() {
  Hasher hasher;
  add_shape<State>(hasher);
  return hasher.hex();
}

}  // namespace ultramarine::core
