// Which messages may travel as WebSocket text. Pure.
#pragma once

#include <string_view>

namespace ultramarine::net {

/// Well-formed UTF-8 as in table 3-7 of the Unicode standard: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text);

}  // namespace ultramarine::net
