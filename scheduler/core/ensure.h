// `ensure(condition, "what must hold")`: on in release builds too. A violated promise of our own code ends the process; the
// daemon's journal makes restarting the tested path.
#pragma once

#include <source_location>

namespace ultramarine::core {
[[noreturn]] void ensure_failed(const char* what, std::source_location where);
inline void ensure(bool condition, const char* what, std::source_location where = std::source_location::current()) {
  if (!condition) ensure_failed(what, where);
}
}  // namespace ultramarine::core
