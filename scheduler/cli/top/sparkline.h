// A short history in one line of text: the newest value at the right, a column for each, eight heights. Knows nothing
// of what it shows.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

namespace ultramarine::cli {

/// Thousandths, oldest first; nullopt: nobody looked, or nobody knows.
using History = std::deque<std::optional<std::int64_t>>;

/// One of eight heights for 0 to 1000 thousandths; what lies outside counts as the nearest. Without UTF-8 ASCII signs
/// that get heavier.
std::string level(std::int64_t permille, bool utf8 = true);
/// The newest `width` values in as many columns; blanks stand for gaps, and to the left where there are fewer.
std::string sparkline(const History& history, std::size_t width, bool utf8 = true);

}  // namespace ultramarine::cli
