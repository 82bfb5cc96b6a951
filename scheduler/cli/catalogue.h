// The compiled message catalogues that travel inside the program (made by the build from languages/*.po).
#pragma once

#include <string_view>

namespace ultramarine::cli {

/// languages/ko.po as a GNU MO file.
std::string_view korean_catalogue();

}  // namespace ultramarine::cli
