// A mount namespace in which two folders of an attempt stand for /tmp and /dev/shm. Whoever enters it, and all that he starts, see them there and nothing of
// what others have in those places; everything else, what is mounted later included, is as on the node.
#pragma once

#include <string>

namespace ultramarine::launcher {

struct OwnMounts {
  std::string tmp, shm;  // absolute paths; root alone may have written the folders above them. "" = the node's own /tmp and /dev/shm are seen
};

/// Of the calling process, for good; it must be root and have one thread. Makes only async-signal-safe calls. 0, or an errno.
int enter_own_mounts(const OwnMounts& mounts);

}  // namespace ultramarine::launcher
