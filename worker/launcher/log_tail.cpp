#include "worker/launcher/log_tail.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "worker/launcher/user_file.h"

namespace ultramarine::launcher {
namespace {

/// Length in bytes of the valid UTF-8 sequence at the start of `text`, 0 when there is none (RFC 3629).
std::size_t sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto continues = [&](std::size_t i, unsigned char low = 0x80, unsigned char high = 0xBF) {
    return i < text.size() && byte(i) >= low && byte(i) <= high;
  };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return continues(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const unsigned char low = first == 0xE0 ? 0xA0 : 0x80;
    const unsigned char high = first == 0xED ? 0x9F : 0xBF;
    return continues(1, low, high) && continues(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const unsigned char low = first == 0xF0 ? 0x90 : 0x80;
    const unsigned char high = first == 0xF4 ? 0x8F : 0xBF;
    return continues(1, low, high) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

/// Length of the terminal escape sequence at the start of `text` (which begins with ESC): CSI to its final byte, else two characters.
std::size_t escape_length(std::string_view text) {
  if (text.size() < 2) return 1;
  if (text[1] != '[') return 2;
  std::size_t i = 2;
  while (i < text.size() && !(text[i] >= '@' && text[i] <= '~')) ++i;
  return std::min(i + 1, text.size());
}

}  // namespace

std::string clean_text(std::string_view raw, std::size_t bytes_max) {
  std::string clean;
  while (!raw.empty()) {
    const char first = raw.front();
    if (first == '\x1b') {
      raw.remove_prefix(escape_length(raw));
      continue;
    }
    if ((static_cast<unsigned char>(first) < 0x20 && first != '\t') || first == 0x7f) {
      raw.remove_prefix(1);
      continue;
    }
    const std::size_t length = sequence_length(raw);
    const std::string_view piece = length == 0 ? std::string_view("\xEF\xBF\xBD") : raw.substr(0, length);  // U+FFFD for a broken one
    if (clean.size() + piece.size() > bytes_max) return clean + "...";
    clean += piece;
    raw.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return clean;
}

std::vector<std::string> last_lines_of(const std::string& path, std::size_t count) {
  constexpr off_t tail_bytes = 64 << 10;
  const int file = open_for_reading(path, Links::follow);
  if (file < 0) return {};
  struct stat status {};
  ::fstat(file, &status);
  const off_t from = std::max<off_t>(0, status.st_size - tail_bytes);
  std::string text(static_cast<std::size_t>(status.st_size - from), '\0');
  const ssize_t got = ::pread(file, text.data(), text.size(), from);
  ::close(file);
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));

  std::vector<std::string> lines;
  std::string_view rest = text;
  if (from > 0) rest.remove_prefix(std::min(rest.find('\n') + 1, rest.size()));  // npos + 1 == 0: one endless line is kept
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    // A progress bar redraws its line: what was last on it is what was seen.
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (const std::size_t redrawn = line.rfind('\r'); redrawn != std::string_view::npos) line.remove_prefix(redrawn + 1);
    lines.push_back(clean_text(line));
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  if (lines.size() > count) lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(count));
  return lines;
}

std::vector<std::string> last_output(const std::string& output_file, const std::string& error_file) {
  const std::vector<std::string> output = last_lines_of(output_file, last_lines_max);
  const std::vector<std::string> error = last_lines_of(error_file, last_lines_max);
  const std::size_t least_output = std::min(output.size(), last_lines_max / 5);
  const std::size_t error_count = std::min(error.size(), last_lines_max - least_output);
  const std::size_t output_count = std::min(output.size(), last_lines_max - error_count);
  std::vector<std::string> lines(output.end() - static_cast<std::ptrdiff_t>(output_count), output.end());
  lines.insert(lines.end(), error.end() - static_cast<std::ptrdiff_t>(error_count), error.end());
  return lines;
}

}  // namespace ultramarine::launcher
