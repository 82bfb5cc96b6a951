#include "worker/launcher/output_pattern.h"

#include <algorithm>
#include <cctype>

namespace ultramarine::launcher {
namespace {

constexpr std::size_t width_max = 10;

std::string padded(std::int64_t number, std::size_t width) {
  std::string text = std::to_string(number);
  if (text.size() < width) text.insert(0, width - text.size(), '0');
  return text;
}

/// nullopt for a letter without a meaning.
std::optional<std::string> word_of(char letter, std::size_t width, const PatternWords& words) {
  switch (letter) {
    case '%': return "%";
    case 'j': return padded(words.job, width);
    case 'J': return padded(words.job, width);
    case 'A': return padded(words.array > 0 ? words.array : words.job, width);
    case 'a': return padded(words.index, width);
    case 'N': return words.node.substr(0, words.node.find('.'));
    case 'n': return padded(words.node_rank, width);
    case 't': return padded(words.rank, width);
    case 's': return words.step;
    case 'u': return words.user;
    case 'x': return words.job_name;
    default: return std::nullopt;
  }
}

std::string without_backslashes(std::string_view pattern) {
  std::string text;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\' && i + 1 < pattern.size()) ++i;
    text += pattern[i];
  }
  return text;
}

}  // namespace

PatternWords pattern_words(const protocol::LaunchSpec& launch, const RankPlace& place) {
  PatternWords words{.job = launch.key.job.value,
                     .node = place.node,
                     .node_rank = place.node_rank,
                     .rank = place.rank,
                     .user = launch.owner.name,
                     .job_name = launch.spec.name};
  if (launch.kind != protocol::LaunchKind::script) words.step = "0";
  if (launch.array) {
    words.array = launch.array->array.value;
    words.index = launch.array->index;
  }
  return words;
}

std::string expand_pattern(std::string_view pattern, const PatternWords& words) {
  if (pattern.find('\\') != std::string_view::npos) return without_backslashes(pattern);
  std::string text;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '%') {
      text += pattern[i];
      continue;
    }
    std::size_t at = i + 1, width = 0;
    while (at < pattern.size() && std::isdigit(static_cast<unsigned char>(pattern[at])) != 0) {
      width = std::min<std::size_t>(width_max, width * 10 + static_cast<std::size_t>(pattern[at] - '0'));
      ++at;
    }
    const auto word = at < pattern.size() ? word_of(pattern[at], width, words) : std::nullopt;
    if (!word) {
      text += '%';  // what follows it is copied letter by letter
      continue;
    }
    text += *word;
    i = at;
  }
  return text;
}

}  // namespace ultramarine::launcher
