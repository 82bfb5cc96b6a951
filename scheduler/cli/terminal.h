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

namespace ultramarine::cli {

enum class ColourMode { automatic, always, never };

struct Terminal {
  bool out_is_terminal = false;
  bool error_is_terminal = false;
  bool can_ask = false;  // stdin and stderr are terminals: a person can be asked
  bool out_colour = false;
  bool error_colour = false;
  std::size_t columns = 80;
};

/// --color, then NO_COLOR, then CLICOLOR_FORCE, then: a terminal that isn't TERM=dumb.
bool wants_colour(bool is_terminal, ColourMode mode, const std::map<std::string, std::string>& environment);
Terminal detect_terminal(ColourMode mode, const std::map<std::string, std::string>& environment);

/// Columns that UTF-8 text takes on a terminal (wcwidth of the current locale: Hangul is two wide, combining marks
/// none).
std::size_t display_width(std::string_view text);
/// At most `width` columns of `text`; when something is cut off the last column is "…".
std::string clipped(std::string_view text, std::size_t width);
/// Text that can't move the cursor or break a line: control characters and broken UTF-8 become "?".
std::string printable(std::string_view text);

enum class Tint { none, red, green, yellow, blue, dim, bold };
bool is_utf8(std::string_view text);
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

/// `done` of `total` as a bar of `width` characters.
std::string bar(std::size_t done, std::size_t total, std::size_t width, std::string_view full = "━",
                std::string_view rest = "─");

}  // namespace ultramarine::cli
