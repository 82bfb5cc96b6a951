#include "scheduler/batch/directives.h"

#include <algorithm>
#include <array>

namespace ultramarine::batch {
namespace {

constexpr std::string_view slurm_mark = "#SBATCH", ultra_mark = "#ULTRA";
constexpr std::array<std::string_view, 2> foreign_marks{"#PBS", "#BSUB"};

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r'; }

/// Bytes of the UTF-8 character that `text` begins with; 0 when it begins with none.
std::size_t character_bytes(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t bytes = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < bytes) return 0;
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const bool overlong = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xF0 && byte(1) < 0x90);
  const bool outside = (first == 0xED && byte(1) > 0x9F) || (first == 0xF4 && byte(1) > 0x8F);  // surrogates; past U+10FFFF
  return overlong || outside ? 0 : bytes;
}

std::string at_line(const std::string& name, std::int64_t line) { return name + ":" + std::to_string(line); }

void check_bytes(const std::string& name, std::string_view text) {
  std::int64_t line = 1;
  while (!text.empty()) {
    const std::size_t bytes = character_bytes(text);
    if (bytes == 0) throw Problem(at_line(name, line), "it has bytes that are not UTF-8", "convert it, for example with iconv -t UTF-8");
    if (text.front() == '\0') throw Problem(at_line(name, line), "it has a zero byte", "is this a program? then write it after --");
    if (text.starts_with("\r\n")) throw Problem(at_line(name, line), "DOS line ends", "take them out: sed -i 's/\\r$//' " + name);
    if (text.front() == '\n') ++line;
    text.remove_prefix(bytes);
  }
}

/// Takes the next word off `rest`; nullopt at the end of the line.
std::optional<std::string> take_word(std::string_view& rest, const std::string& where) {
  while (!rest.empty() && is_blank(rest.front())) rest.remove_prefix(1);
  if (rest.empty() || rest.front() == '#') return std::nullopt;
  std::string word;
  char quote = 0;
  std::size_t i = 0;
  for (; i < rest.size(); ++i) {
    const char c = rest[i];
    if (c == '\\' && i + 1 < rest.size()) {
      word += rest[++i];
    } else if (quote != 0) {
      if (c == quote) quote = 0;
      else word += c;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (is_blank(c)) {
      break;
    } else if (c == '#') {
      i = rest.size();  // a comment, although no blank is before it
      break;
    } else {
      word += c;
    }
  }
  if (quote != 0) throw Problem(where, std::string("a ") + quote + " without its partner", "close the quotes on the same line");
  rest.remove_prefix(std::min(i, rest.size()));
  return word;
}

/// The mark that the line begins with, if it is one of `marks`.
template <class Marks>
std::string_view mark_of(std::string_view line, const Marks& marks) {
  for (const std::string_view mark : marks) {
    if (line.starts_with(mark)) return mark;
  }
  return {};
}

/// #ULTRA must stand alone: "#ULTRAMARINE" is a comment. (#SBATCH needs no blank after it, as in Slurm.)
bool is_ultra_line(std::string_view line) {
  return line.starts_with(ultra_mark) && (line.size() == ultra_mark.size() || is_blank(line[ultra_mark.size()]));
}

bool is_command(std::string_view line) {
  while (!line.empty() && is_blank(line.front())) line.remove_prefix(1);
  return !line.empty() && line.front() != '#';
}

template <class Visit>
void each_line(std::string_view text, Visit visit) {
  for (std::int64_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    visit(number, text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

}  // namespace

bool looks_like_script(std::string_view text) {
  if (text.starts_with("#!")) return true;
  if (text.find('\0') != std::string_view::npos) return false;
  bool found = false;
  each_line(text, [&](std::int64_t, std::string_view line) { found = found || line.starts_with(slurm_mark) || is_ultra_line(line); });
  return found;
}

Directives read_directives(const std::string& name, std::string_view text) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) throw Problem(name, "the script is empty", "begin it with #!/bin/bash");
  check_bytes(name, text);
  if (!text.starts_with("#!")) throw Problem(at_line(name, 1), "a script begins with #! and its interpreter", "write #!/bin/bash into line 1");
  Directives found;
  each_line(text, [&](std::int64_t number, std::string_view line) {
    const bool is_slurm = line.starts_with(slurm_mark), is_ultra = is_ultra_line(line);
    if (found.first_command != 0) {
      if (is_slurm || is_ultra) found.late.push_back(number);
    } else if (is_slurm || is_ultra) {
      line.remove_prefix((is_slurm ? slurm_mark : ultra_mark).size());
      while (auto word = take_word(line, at_line(name, number))) (is_slurm ? found.slurm : found.ultra).push_back({std::move(*word), number});
    } else if (const std::string_view mark = mark_of(line, foreign_marks); !mark.empty()) {
      found.foreign.push_back(number);
      if (std::find(found.foreign_marks.begin(), found.foreign_marks.end(), mark) == found.foreign_marks.end())
        found.foreign_marks.emplace_back(mark);
    } else if (is_command(line)) {
      found.first_command = number;
    }
  });
  return found;
}

}  // namespace ultramarine::batch
