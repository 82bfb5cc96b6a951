#include "scheduler/net/base64.h"

#include <stdexcept>

namespace ultramarine::net {

std::string to_base64(std::string_view bytes) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  const auto byte = [&](std::size_t i) { return i < bytes.size() ? unsigned{static_cast<unsigned char>(bytes[i])} : 0U; };
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const unsigned bits = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    text += {digits[bits >> 18], digits[bits >> 12 & 63], i + 1 < bytes.size() ? digits[bits >> 6 & 63] : '=', i + 2 < bytes.size() ? digits[bits & 63] : '='};
  }
  return text;
}

// By hand because OpenSSL's decoder accepts blanks and counts the padding as data.
std::string from_base64(std::string_view text) {
  const auto value_of = [](char c) -> unsigned {
    if (c >= 'A' && c <= 'Z') return static_cast<unsigned>(c - 'A');
    if (c >= 'a' && c <= 'z') return static_cast<unsigned>(c - 'a') + 26;
    if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0') + 52;
    if (c == '+') return 62;
    if (c == '/') return 63;
    throw std::invalid_argument("not base64: a character outside of the alphabet");
  };
  if (text.size() % 4 != 0) throw std::invalid_argument("not base64: the length is no multiple of 4");
  std::size_t padding = 0;
  while (padding < 2 && text.size() > padding && text[text.size() - 1 - padding] == '=') ++padding;
  text.remove_suffix(padding);
  std::string bytes;
  bytes.reserve(text.size() * 3 / 4);
  unsigned bits = 0;
  unsigned bit_count = 0;
  for (const char c : text) {
    bits = (bits << 6 | value_of(c)) & 0xFFFFu;
    bit_count += 6;
    if (bit_count >= 8) {
      bit_count -= 8;
      bytes += static_cast<char>(bits >> bit_count & 0xFFu);
    }
  }
  if ((bits & ((1u << bit_count) - 1)) != 0) throw std::invalid_argument("not base64: bits are left over");
  return bytes;
}

}  // namespace ultramarine::net
