// Opens files that users may have put there: whatever stands in their place (a FIFO, a device, a link, a file that somebody holds a lease on), it
// never waits and never reads what has no end.
#pragma once

#include <string>

namespace ultramarine::launcher {

enum class Links { refuse, follow };

/// For reading, closed at an exec; -1 and `errno` when that can't be. Only ordinary files on a disk: EINVAL for anything else, and for all below
/// /proc, where this process's own open files and addresses would be shown to whoever made a link to them. ELOOP: a link, which is refused. Links
/// are followed with the rights that the thread has just now (AsOwner).
int open_for_reading(const std::string& path, Links links) noexcept;

/// For appending, made (0600) when it is missing, closed at an exec; -1 and `errno`. Follows no links; EINVAL when it is no ordinary file. Only
/// async-signal-safe calls.
int open_for_appending(const char* path) noexcept;

}  // namespace ultramarine::launcher
