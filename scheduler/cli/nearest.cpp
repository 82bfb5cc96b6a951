#include "scheduler/cli/nearest.h"

#include <algorithm>

#include "scheduler/cli/language.h"
#include "scheduler/model/edit_distance.h"

namespace ultramarine::cli {

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
  const std::size_t letters = word.size() - std::min(word.find_first_not_of('-'), word.size());
  if (letters == 0) return "";
  std::string best, only_longer;
  std::size_t fewest = std::max<std::size_t>(1, letters / 3) + 1;
  int longer = 0;
  for (const std::string& candidate : known) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < fewest) fewest = distance, best = candidate;
    if (letters > 1 && candidate.size() > word.size() && candidate.compare(0, word.size(), word) == 0) {
      ++longer;
      only_longer = candidate;
    }
  }
  return best.empty() && longer == 1 ? only_longer : best;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& known, const std::string& otherwise) {
  const std::string near = nearest(word, known);
  return near.empty() ? otherwise : spoken("did you mean {0}?", near);
}

}  // namespace ultramarine::cli
