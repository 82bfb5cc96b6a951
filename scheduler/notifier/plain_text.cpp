#include "scheduler/notifier/plain_text.h"

#include <fmt/chrono.h>

#include <chrono>
#include <ctime>

#include "scheduler/net/utf8.h"

namespace ultramarine::notifier {
namespace {

/// How many bytes the first character of `text` has; 0: it isn't UTF-8.
std::size_t character_bytes(std::string_view text) {
  for (std::size_t bytes = 1; bytes <= 4 && bytes <= text.size(); ++bytes)
    if (net::is_utf8(text.substr(0, bytes))) return bytes;
  return 0;
}

bool is_invisible(std::string_view character) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(character[i]); };
  if (character.size() == 1) return byte(0) < 0x20 || byte(0) == 0x7f;
  if (character.size() == 2) return byte(0) == 0xc2 && byte(1) < 0xa0;  // C1
  if (character.size() != 3 || byte(0) != 0xe2) return false;
  // U+200B to U+200F, U+2028 to U+202E; U+2060 to U+206F.
  return (byte(1) == 0x80 && ((byte(2) >= 0x8b && byte(2) <= 0x8f) || (byte(2) >= 0xa8 && byte(2) <= 0xae))) ||
         (byte(1) == 0x81 && byte(2) >= 0xa0 && byte(2) <= 0xaf);
}

/// Of UTC, whole seconds.
std::tm clock_of(std::int64_t time_ms) {
  return fmt::gmtime(std::chrono::floor<std::chrono::seconds>(
      std::chrono::sys_time<std::chrono::milliseconds>{std::chrono::milliseconds(time_ms)}));
}

}  // namespace

std::string one_line(std::string_view text, std::size_t bytes_max) {
  std::string line;
  while (!text.empty()) {
    const std::size_t bytes = character_bytes(text);
    const std::string_view character = text.substr(0, std::max<std::size_t>(bytes, 1));
    const std::string_view shown = bytes == 0 ? "?" : is_invisible(character) ? " " : character;
    if (line.size() + shown.size() > bytes_max) break;
    line += shown;
    text.remove_prefix(character.size());
  }
  return line;
}

std::string for_chat(std::string_view text) {
  std::string safe;
  for (const char c : one_line(text, 2000)) {
    if (c == '<')
      safe += "\u2039";
    else if (c == '>')
      safe += "\u203a";
    else if (c == '@')
      safe += "@\u200b";  // no mention begins with an invisible blank
    else
      safe += c;
  }
  return safe;
}

std::string rfc3339(std::int64_t time_ms) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", clock_of(time_ms), time_ms % 1000);
}

std::string rfc5322(std::int64_t time_ms) { return fmt::format("{:%a, %d %b %Y %H:%M:%S} +0000", clock_of(time_ms)); }

std::string date_and_time(std::int64_t time_ms) { return fmt::format("{:%Y-%m-%d %H:%M} UTC", clock_of(time_ms)); }

}  // namespace ultramarine::notifier
