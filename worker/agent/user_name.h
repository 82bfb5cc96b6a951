// The name of a user of this node.
#pragma once

#include <pwd.h>

#include <string>

namespace ultramarine::agent {

/// The number as text when nobody has it.
inline std::string user_name(uid_t uid) {
  const passwd* const entry = getpwuid(uid);
  return entry ? entry->pw_name : std::to_string(uid);
}

}  // namespace ultramarine::agent
