#include "scheduler/cli/korean_particles.h"

#include <unistr.h>

#include <array>
#include <cstdint>

namespace ultramarine::cli {
namespace {

enum class Ending { unknown, vowel, consonant, rieul };

struct Particle {
  std::string_view written, after_vowel, after_consonant;
  bool rieul_is_a_vowel = false;
};
constexpr std::array<Particle, 5> particles{{{"은(는)", "는", "은"},
                                             {"이(가)", "가", "이"},
                                             {"을(를)", "를", "을"},
                                             {"와(과)", "와", "과"},
                                             {"(으)로", "로", "으로", true}}};

/// What stands before the particle, without closing quotes and one remark in brackets.
std::string_view word_before(std::string_view text) {
  if (text.ends_with(')')) {
    const std::size_t open = text.rfind('(');
    if (open != std::string_view::npos && open > 0) text = text.substr(0, open);
  }
  while (!text.empty() && std::string_view(" \"'`").find(text.back()) != std::string_view::npos) text.remove_suffix(1);
  return text;
}

Ending ending_of(std::string_view text) {
  text = word_before(text);
  if (text.empty()) return Ending::unknown;
  const auto* start = reinterpret_cast<const std::uint8_t*>(text.data());
  ucs4_t code = 0;
  if (!u8_prev(&code, start + text.size(), start)) return Ending::unknown;
  // As they are read: 영(십, 백) 일 이 삼 사 오 육 칠 팔 구.
  static constexpr Ending digits[] = {Ending::consonant, Ending::rieul, Ending::vowel,     Ending::consonant,
                                      Ending::vowel,     Ending::vowel, Ending::consonant, Ending::rieul,
                                      Ending::rieul,     Ending::vowel};
  if (code >= '0' && code <= '9') return digits[code - '0'];
  if (code < 0xAC00 || code > 0xD7A3) return Ending::unknown;
  const ucs4_t last = (code - 0xAC00) % 28;  // a syllable block: 28 endings, none first
  return last == 0 ? Ending::vowel : last == 8 ? Ending::rieul : Ending::consonant;
}

}  // namespace

std::string with_particles(std::string_view text) {
  std::string chosen;
  for (std::size_t at = 0; at < text.size();) {
    const Particle* found = nullptr;
    for (const Particle& particle : particles) {
      if (text.substr(at).starts_with(particle.written)) found = &particle;
    }
    const Ending ending = found ? ending_of(chosen) : Ending::unknown;
    if (ending == Ending::unknown) {
      chosen += text[at++];
      continue;
    }
    const bool as_vowel = ending == Ending::vowel || (ending == Ending::rieul && found->rieul_is_a_vowel);
    chosen += as_vowel ? found->after_vowel : found->after_consonant;
    at += found->written.size();
  }
  return chosen;
}

}  // namespace ultramarine::cli
