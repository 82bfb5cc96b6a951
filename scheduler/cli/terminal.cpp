#include "scheduler/cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cwchar>

namespace ultramarine::cli {
namespace {

struct Character {
  std::size_t bytes = 1;
  int width = -1;  // -1: a control character or broken UTF-8
  bool broken = true;
};

// Decodes by hand: mbrtowc would depend on the locale for the encoding too, and everything here is UTF-8.
Character character_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  std::size_t bytes = first < 0x80 ? 1 : first >= 0xF0 && first < 0xF8 ? 4 : first >= 0xE0 ? 3 : first >= 0xC2 ? 2 : 0;
  if (bytes == 0 || first >= 0xF8 || at + bytes > text.size()) return {};
  std::uint32_t code = bytes == 1 ? first : first & (0x7FU >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(at + i) & 0xC0U) != 0x80U) return {};
    code = (code << 6U) | (byte(at + i) & 0x3FU);
  }
  const bool overlong = (bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000);
  if (overlong || (code >= 0xD800 && code < 0xE000) || code > 0x10FFFF) return {};
  if (code < 0x20 || (code >= 0x7F && code < 0xA0)) return {bytes, -1, false};
  const int width = code < 0x7F ? 1 : wcwidth(static_cast<wchar_t>(code));
  return {bytes, width < 0 ? 1 : width, false};  // not known to the locale: most likely one column
}

std::string value_of(const std::map<std::string, std::string>& environment, const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() ? "" : found->second;
}

}  // namespace

bool wants_colour(bool is_terminal, ColourMode mode, const std::map<std::string, std::string>& environment) {
  if (mode != ColourMode::automatic) return mode == ColourMode::always;
  if (!value_of(environment, "NO_COLOR").empty()) return false;
  const std::string forced = value_of(environment, "CLICOLOR_FORCE");
  if (!forced.empty() && forced != "0") return true;
  return is_terminal && value_of(environment, "TERM") != "dumb";
}

Terminal detect_terminal(ColourMode mode, const std::map<std::string, std::string>& environment) {
  Terminal terminal;
  terminal.out_is_terminal = isatty(STDOUT_FILENO) == 1;
  terminal.error_is_terminal = isatty(STDERR_FILENO) == 1;
  terminal.can_ask = terminal.error_is_terminal && isatty(STDIN_FILENO) == 1;
  terminal.out_colour = wants_colour(terminal.out_is_terminal, mode, environment);
  terminal.error_colour = wants_colour(terminal.error_is_terminal, mode, environment);
  winsize size{};
  const std::string columns = value_of(environment, "COLUMNS");
  if (!columns.empty() && std::atoi(columns.c_str()) > 0)
    terminal.columns = static_cast<std::size_t>(std::atoi(columns.c_str()));
  else if (ioctl(terminal.out_is_terminal ? STDOUT_FILENO : STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    terminal.columns = size.ws_col;
  return terminal;
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Character character = character_at(text, at);
    width += character.width < 0 ? 1 : static_cast<std::size_t>(character.width);
    at += character.bytes;
  }
  return width;
}

std::string clipped(std::string_view text, std::size_t width) {
  if (display_width(text) <= width) return std::string(text);
  if (width == 0) return "";
  std::size_t at = 0, used = 0;
  while (at < text.size()) {
    const Character character = character_at(text, at);
    const std::size_t more = character.width < 0 ? 1 : static_cast<std::size_t>(character.width);
    if (used + more > width - 1) break;
    used += more;
    at += character.bytes;
  }
  return std::string(text.substr(0, at)) + "…";
}

std::string printable(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Character character = character_at(text, at);
    if (character.width < 0)
      clean += '?';
    else
      clean += text.substr(at, character.bytes);
    at += character.bytes;
  }
  return clean;
}

bool is_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const Character character = character_at(text, at);
    if (character.broken) return false;
    at += character.bytes;
  }
  return true;
}

std::string tinted(std::string_view text, Tint tint, bool colour) {
  if (!colour || tint == Tint::none || text.empty()) return std::string(text);
  const char* code = "";
  switch (tint) {
    case Tint::none:
      break;
    case Tint::red:
      code = "31";
      break;
    case Tint::green:
      code = "32";
      break;
    case Tint::yellow:
      code = "33";
      break;
    case Tint::blue:
      code = "34";
      break;
    case Tint::dim:
      code = "2";
      break;
    case Tint::bold:
      code = "1";
      break;
  }
  return "\033[" + std::string(code) + "m" + std::string(text) + "\033[0m";
}

void Table::add(std::vector<Cell> row) {
  for (Cell& cell : row) cell.text = printable(cell.text);
  rows_.push_back(std::move(row));
}

void Table::write(std::ostream& out, const Terminal& terminal) const {
  if (!terminal.out_is_terminal) {
    for (std::size_t i = 0; i < columns_.size(); ++i) out << (i ? "\t" : "") << columns_[i].title;
    out << '\n';
    for (const auto& row : rows_) {
      for (std::size_t i = 0; i < row.size(); ++i)
        out << (i ? "\t" : "") << tinted(row[i].text, row[i].tint, terminal.out_colour);
      out << '\n';
    }
    return;
  }
  std::vector<std::size_t> widths;
  for (const Column& column : columns_) widths.push_back(display_width(column.title));
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i].text));
  }
  const auto write_row = [&](const std::vector<Cell>& row) {
    std::size_t used = 0;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const bool last = i + 1 == row.size();
      // The last column is the one with sentences: it takes what is left, and at least 20 columns.
      const std::size_t room =
          last ? std::max<std::size_t>(20, terminal.columns > used ? terminal.columns - used : 0) : widths[i];
      const std::string text = clipped(row[i].text, room);
      const std::size_t fill = widths[i] > display_width(text) ? widths[i] - display_width(text) : 0;
      if (columns_[i].align == Align::right)
        out << std::string(fill, ' ') << tinted(text, row[i].tint, terminal.out_colour);
      else
        out << tinted(text, row[i].tint, terminal.out_colour) << (last ? "" : std::string(fill, ' '));
      out << (last ? "\n" : "  ");
      used += widths[i] + 2;
    }
  };
  std::vector<Cell> titles;
  for (const Column& column : columns_) titles.emplace_back(column.title, Tint::dim);
  write_row(titles);
  for (const auto& row : rows_) write_row(row);
}

std::string bar(std::size_t done, std::size_t total, std::size_t width, std::string_view full, std::string_view rest) {
  const std::size_t filled = total == 0 ? 0 : std::min(width, done * width / total);
  std::string text;
  for (std::size_t i = 0; i < width; ++i) text += i < filled ? full : rest;
  return text;
}

Progress::Progress(std::ostream& err, const Terminal& terminal, Clock clock)
    : err_(err), terminal_(terminal), clock_(std::move(clock)), last_(clock_()), ever_(!terminal.error_is_terminal) {}
Progress::~Progress() { clear(); }

void Progress::show(const std::string& line) {
  const auto now = clock_();
  const auto pause = terminal_.error_is_terminal ? std::chrono::milliseconds(100) : std::chrono::milliseconds(10'000);
  if (line == shown_ || (ever_ && now - last_ < pause)) return;
  shown_ = line;
  last_ = now;
  ever_ = true;
  if (terminal_.error_is_terminal) {
    err_ << "\r\033[K" << clipped(printable(line), terminal_.columns > 1 ? terminal_.columns - 1 : 1);
    drawn_ = true;
  } else {
    err_ << printable(line) << '\n';
  }
  err_.flush();
}

void Progress::show_bar(const std::string& label, std::size_t done, std::size_t total) {
  const std::string count = std::to_string(done) + "/" + std::to_string(total);
  show(terminal_.error_is_terminal ? label + " " + bar(done, total, 24) + " " + count : label + " " + count);
}

void Progress::clear() {
  if (!drawn_) return;
  err_ << "\r\033[K";
  err_.flush();
  drawn_ = false;
  shown_.clear();
}

}  // namespace ultramarine::cli
