// Texts that are cut to a length and stay texts.
#pragma once

#include <cstddef>
#include <string_view>

namespace ultramarine {

/// The beginning of UTF-8 text in at most so many bytes, never a part of a character.
inline std::string_view whole_characters(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  std::size_t cut = bytes_max;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0U) == 0x80U) --cut;
  return text.substr(0, cut);
}

}  // namespace ultramarine
