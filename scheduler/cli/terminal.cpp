#include "scheduler/cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "scheduler/cli/environment.h"
#include "scheduler/cli/language.h"

namespace ultramarine::cli {
bool wants_colour(bool is_terminal, ColourMode mode, const std::map<std::string, std::string>& environment) {
  if (mode != ColourMode::automatic) return mode == ColourMode::always;
  if (!value_of(environment, "NO_COLOR").empty()) return false;
  const std::string forced = value_of(environment, "CLICOLOR_FORCE");
  if (!forced.empty() && forced != "0") return true;
  return is_terminal && value_of(environment, "TERM") != "dumb";
}

bool shows_utf8(const std::map<std::string, std::string>& environment) {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string locale = value_of(environment, name);
    if (!locale.empty()) return locale != "C" && locale != "POSIX" && is_utf8_locale(locale);
  }
  return true;
}

Terminal detect_terminal(ColourMode mode, const std::map<std::string, std::string>& environment) {
  Terminal terminal;
  terminal.out_is_terminal = isatty(STDOUT_FILENO) == 1;
  terminal.error_is_terminal = isatty(STDERR_FILENO) == 1;
  terminal.can_ask = terminal.error_is_terminal && isatty(STDIN_FILENO) == 1;
  terminal.out_colour = wants_colour(terminal.out_is_terminal, mode, environment);
  terminal.error_colour = wants_colour(terminal.error_is_terminal, mode, environment);
  terminal.utf8 = shows_utf8(environment);
  measure(terminal, environment);
  return terminal;
}

void measure(Terminal& terminal, const std::map<std::string, std::string>& environment) {
  winsize size{};
  if (ioctl(terminal.out_is_terminal ? STDOUT_FILENO : STDERR_FILENO, TIOCGWINSZ, &size) == 0) {
    if (size.ws_col > 0) terminal.columns = size.ws_col;
    if (size.ws_row > 0) terminal.rows = size.ws_row;
  }
  const int columns = std::atoi(value_of(environment, "COLUMNS").c_str());
  if (columns > 0) terminal.columns = static_cast<std::size_t>(columns);
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
    case Tint::magenta:
      code = "35";
      break;
    case Tint::cyan:
      code = "36";
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

const Terminal& LiveText::terminal() {
  measure(terminal_, environment_);
  return terminal_;
}

LiveText::~LiveText() {
  if (drawn_) out_ << "\033[?7h" << std::flush;
}

void LiveText::show(const std::string& text) {
  if (!terminal_.out_is_terminal) {
    out_ << text << std::flush;
    return;
  }
  std::string drawn = drawn_ ? "" : std::string(terminal_.rows, '\n');
  drawn += "\033[H\033[?7l";  // to the top; long lines end at the edge
  std::size_t line = 1;
  for (std::size_t from = 0; from < text.size() && line < terminal_.rows; ++line) {
    const std::size_t end = std::min(text.find('\n', from), text.size());
    drawn += text.substr(from, end - from) + "\033[K\n";
    from = end + 1;
  }
  out_ << drawn << "\033[J\033[?7h" << std::flush;
  drawn_ = true;
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
