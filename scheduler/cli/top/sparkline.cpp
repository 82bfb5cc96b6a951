#include "scheduler/cli/top/sparkline.h"

#include <algorithm>
#include <array>

namespace ultramarine::cli {

std::string level(std::int64_t permille, bool utf8) {
  static constexpr std::array blocks{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"},
      letters{"_", ".", ":", "-", "=", "+", "*", "#"};
  const auto height = static_cast<std::size_t>(std::clamp<std::int64_t>(permille, 0, 999) * 8 / 1000);
  return utf8 ? blocks[height] : letters[height];
}

std::string sparkline(const History& history, std::size_t width, bool utf8) {
  const std::size_t shown = std::min(width, history.size());
  std::string text(width - shown, ' ');
  for (std::size_t i = history.size() - shown; i < history.size(); ++i)
    text += history[i] ? level(*history[i], utf8) : " ";
  return text;
}

}  // namespace ultramarine::cli
