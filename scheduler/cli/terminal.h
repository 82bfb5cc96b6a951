// How output looks: colour or not, columns as wide as people see them, progress that redraws itself. Data goes to
// stdout, all else to stderr; a pipe gets plain tab-separated text. Knows nothing of jobs.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/cli/text_width.h"

namespace ultramarine::cli {

enum class ColourMode { automatic, always, never };

struct Terminal {
  bool out_is_terminal = false;
  bool error_is_terminal = false;
  bool can_ask = false;  // stdin and stderr are terminals: a person can be asked
  bool out_colour = false;
  bool error_colour = false;
  bool utf8 = true;  // it is said to show more than ASCII
  std::size_t columns = 80, rows = 24;
};

/// --color, then NO_COLOR, then CLICOLOR_FORCE, then: a terminal that isn't TERM=dumb.
bool wants_colour(bool is_terminal, ColourMode mode, const std::map<std::string, std::string>& environment);
/// Not where LC_ALL, LC_CTYPE or LANG (the first of these that is set) names C, POSIX or another encoding.
bool shows_utf8(const std::map<std::string, std::string>& environment);
Terminal detect_terminal(ColourMode mode, const std::map<std::string, std::string>& environment);
/// Columns and rows anew: people resize windows.
void measure(Terminal& terminal, const std::map<std::string, std::string>& environment);

enum class Tint { none, red, green, yellow, blue, magenta, cyan, dim, bold };
std::string tinted(std::string_view text, Tint tint, bool colour);

struct Cell {
  Cell(std::string text_, Tint tint_ = Tint::none) : text(std::move(text_)), tint(tint_) {}
  Cell(const char* text_) : text(text_) {}
  std::string text;
  Tint tint = Tint::none;
};

/// On a terminal: borderless columns, the last one clipped to the width. On a pipe: the same cells with tabs between.
class Table {
 public:
  enum class Align { left, right };
  struct Column {
    std::string title;
    Align align = Align::left;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void add(std::vector<Cell> row);
  bool empty() const { return rows_.empty(); }
  void write(std::ostream& out, const Terminal& terminal) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

/// One line about what goes on, on stderr: redrawn in place on a terminal (at most 10 times a second), else a new line
/// when it has changed and 10 s have passed since the last, or since the beginning.
class Progress {
 public:
  using Clock = std::function<std::chrono::steady_clock::time_point()>;
  Progress(
      std::ostream& err, const Terminal& terminal, Clock clock = [] { return std::chrono::steady_clock::now(); });
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void show(const std::string& line);
  /// "label ━━━━━────── 5/8"
  void show_bar(const std::string& label, std::size_t done, std::size_t total);
  /// Takes the line off the terminal, so that other output can follow.
  void clear();

 private:
  std::ostream& err_;
  const Terminal terminal_;
  Clock clock_;
  std::chrono::steady_clock::time_point last_;
  std::string shown_;
  bool ever_;  // the pause since last_ counts
  bool drawn_ = false;
};

/// A text that replaces itself: on a terminal it is drawn over the last one (what stood there before scrolled away), elsewhere
/// one follows the other.
class LiveText {
 public:
  LiveText(std::ostream& out, std::map<std::string, std::string> environment, const Terminal& terminal)
      : out_(out), environment_(std::move(environment)), terminal_(terminal) {}
  /// Long lines wrap again, whatever became of the last text: Ctrl-C discards what a terminal had not shown yet
  /// (termios(3), NOFLSH).
  ~LiveText();
  LiveText(const LiveText&) = delete;
  LiveText& operator=(const LiveText&) = delete;
  /// The terminal as it is now: lay the text out for it.
  const Terminal& terminal();
  /// `text`: whole lines. Lines that have no room are left out at the end, those that are too long are cut.
  void show(const std::string& text);

 private:
  std::ostream& out_;
  const std::map<std::string, std::string> environment_;
  Terminal terminal_;
  bool drawn_ = false;
};

/// `done` of `total` as a bar of `width` characters.
std::string bar(std::size_t done, std::size_t total, std::size_t width, std::string_view full = "━",
                std::string_view rest = "─");

}  // namespace ultramarine::cli
