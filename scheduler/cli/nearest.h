// "Did you mean": the known word that is nearest to a misspelt one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ultramarine::cli {

/// The known word with the fewest insertions, deletions, replacements and swaps of neighbours (optimal string
/// alignment), if those are at most a third of the word's length (at least 1), or the only one that begins with it. ""
/// when nothing is near.
std::string nearest(std::string_view word, const std::vector<std::string>& known);

/// "did you mean WORD?", or `otherwise` when nothing is near.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& known, const std::string& otherwise);

}  // namespace ultramarine::cli
