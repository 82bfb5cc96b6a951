#include "scheduler/notifier/plain_text.h"

#include <fmt/format.h>

#include <array>
#include <chrono>

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

struct Clock {
  int year, weekday;
  unsigned month, day;
  std::int64_t hour, minute, second, millisecond;
};
Clock clock_of(std::int64_t time_ms) {
  const std::chrono::sys_time<std::chrono::milliseconds> moment{std::chrono::milliseconds(time_ms)};
  const auto midnight = std::chrono::floor<std::chrono::days>(moment);
  const std::chrono::year_month_day date{midnight};
  const std::int64_t in_day = (moment - midnight).count();
  return {static_cast<int>(date.year()),
          static_cast<int>(std::chrono::weekday{midnight}.c_encoding()),
          static_cast<unsigned>(date.month()),
          static_cast<unsigned>(date.day()),
          in_day / 3'600'000,
          in_day / 60'000 % 60,
          in_day / 1000 % 60,
          in_day % 1000};
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
  const Clock c = clock_of(time_ms);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", c.year, c.month, c.day, c.hour, c.minute, c.second,
                     c.millisecond);
}

std::string rfc5322(std::int64_t time_ms) {
  static constexpr std::array weekdays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const Clock c = clock_of(time_ms);
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} +0000", weekdays[static_cast<std::size_t>(c.weekday)], c.day,
                     months[c.month - 1], c.year, c.hour, c.minute, c.second);
}

std::string date_and_time(std::int64_t time_ms) {
  const Clock c = clock_of(time_ms);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02} UTC", c.year, c.month, c.day, c.hour, c.minute);
}

}  // namespace ultramarine::notifier
