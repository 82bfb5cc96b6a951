// JSON text of everything that this room reads and writes. The codec's templates are instantiated in message_text.cpp only.
#pragma once

#include <string>
#include <string_view>

namespace ultramarine::launcher {

/// T: LaunchOrder, GangReport, ToShim, FromShim, GangMessage, ProgressMessage, std::vector<CheckpointReport>, ShimPid,
/// Leftovers, BegunNote.
template <class T>
std::string to_text(const T& value);
/// Unknown members are ignored. Throws std::exception when the text isn't such a value.
template <class T>
T from_text(std::string_view text);

}  // namespace ultramarine::launcher
