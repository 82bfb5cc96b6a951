#include "scheduler/cli/text_width.h"

#include <unictype.h>
#include <unigbrk.h>
#include <unistr.h>
#include <uniwidth.h>

#include <algorithm>

namespace ultramarine::cli {
namespace {

const std::uint8_t* bytes_of(std::string_view text) { return reinterpret_cast<const std::uint8_t*>(text.data()); }

constexpr ucs4_t zero_width_joiner = 0x200D, emoji_presentation = 0xFE0F;
bool is_flag_letter(ucs4_t code) { return code >= 0x1F1E6 && code <= 0x1F1FF; }

bool is_control(ucs4_t code) {
  const bool turns_writing = (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
  return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x2028 || code == 0x2029 || turns_writing;
}

/// One character as people see it (a grapheme cluster), or one control character or broken byte.
struct Character {
  std::size_t bytes = 1;
  std::size_t width = 1;
  bool shown = false;
};

Character character_at(std::string_view text, std::size_t at) {
  const std::uint8_t* from = bytes_of(text) + at;
  const std::size_t left = text.size() - at;
  ucs4_t code = 0;
  const int first = u8_mbtoucr(&code, from, left);
  if (first <= 0) return {};
  if (is_control(code)) return {static_cast<std::size_t>(first), 1, false};
  // The cluster ends where the next begins (UAX 29), or at the first byte that is broken or a control character.
  std::size_t bytes = static_cast<std::size_t>(first);
  int width = uc_width(code, "UTF-8");
  bool is_half_flag = is_flag_letter(code);
  ucs4_t before = code;
  while (bytes < left) {
    const int length = u8_mbtoucr(&code, from + bytes, left - bytes);
    if (length <= 0 || is_control(code)) break;
    const bool joins_emoji = before == zero_width_joiner && uc_is_property_emoji(code);
    if (is_flag_letter(before) && is_flag_letter(code)) {
      if (!is_half_flag) break;  // a flag has two letters; the third begins another
      is_half_flag = false;
    } else if (!joins_emoji && uc_is_grapheme_break(before, code)) {
      break;
    }
    width += std::max(0, uc_width(code, "UTF-8"));
    bytes += static_cast<std::size_t>(length);
    before = code;
  }
  if (before == emoji_presentation) width = 2;
  return {bytes, static_cast<std::size_t>(std::clamp(width, 0, 2)), true};
}

}  // namespace

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Character character = character_at(text, at);
    width += character.width;
    at += character.bytes;
  }
  return width;
}

std::string clipped(std::string_view text, std::size_t width) {
  if (text.size() <= width || display_width(text) <= width) return std::string(text);
  if (width == 0) return "";
  std::size_t at = 0, used = 0;
  while (at < text.size()) {
    const Character character = character_at(text, at);
    if (used + character.width > width - 1) break;
    used += character.width;
    at += character.bytes;
  }
  return std::string(text.substr(0, at)) + "…";
}

std::string padded(std::string_view text, std::size_t width) {
  std::string shown = clipped(text, width);
  return shown + std::string(width - display_width(shown), ' ');
}

std::string printable(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Character character = character_at(text, at);
    if (character.shown)
      clean += text.substr(at, character.bytes);
    else
      clean += '?';
    at += character.bytes;
  }
  return clean;
}

bool is_utf8(std::string_view text) { return u8_check(bytes_of(text), text.size()) == nullptr; }

}  // namespace ultramarine::cli
