// Text as people see it: how many columns it takes, where it may be cut, which bytes must not reach a terminal.
// Everything is UTF-8 whatever the locale says; the tables of characters are GNU libunistring's (UAX 11 widths, UAX 29
// clusters).
#pragma once

#include <string>
#include <string_view>

namespace ultramarine::cli {

/// Columns that UTF-8 text takes on a terminal. Counted by what people take for one character: Hangul, also decomposed,
/// is two wide, combining marks take none, an emoji two however many code points make it. Control characters and broken
/// bytes count one each: `printable` shows each as "?".
std::size_t display_width(std::string_view text);
/// At most `width` columns of `text`, never half a character; when something is cut off the last column is "…".
std::string clipped(std::string_view text, std::size_t width);
/// `text` and blanks up to `width` columns; longer text is clipped.
std::string padded(std::string_view text, std::size_t width);
/// Text that can't move the cursor, break a line or turn the writing around: control characters, marks of direction and
/// broken UTF-8 become "?".
std::string printable(std::string_view text);
bool is_utf8(std::string_view text);

}  // namespace ultramarine::cli
