// Named places in the daemon's loop where a fault test can end the process as `kill -9` would: the environment variable
// ULTRAMARINE_CRASH_POINT=name:count ends it at the count-th passage. Off unless that is set.
#pragma once

#include <optional>
#include <string>

namespace ultramarine::server {

/// Ends the process (exit code 137, nothing flushed) when armed for `name` and the count is reached.
void crash_point(const char* name);

/// Checks the variable: "" when it is not set, else the line to log at start; throws std::invalid_argument with one line when it is
/// malformed or names no point.
std::string armed_crash_point();

}  // namespace ultramarine::server
