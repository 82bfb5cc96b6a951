// shim.log, line by line: time, level, text. By hand, because a library for it would take longer to load than a small job runs.
#pragma once

#include <string_view>

namespace ultramarine::launcher::shim_log {

void info(std::string_view text);
void warn(std::string_view text);
void error(std::string_view text);

}  // namespace ultramarine::launcher::shim_log
