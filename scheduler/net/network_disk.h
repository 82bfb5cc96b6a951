// Disks that come over the network: several machines see what is on them, and no machine fills them alone.
#pragma once

#include <cstdint>
#include <string>

namespace ultramarine::net {

/// The kind of file system behind statfs(2)'s f_type, "nfs" for example; "" for a disk that is this machine's own. By the numbers of
/// linux/magic.h, and for Lustre, GPFS and BeeGFS those that their own sources give.
std::string network_file_system(std::int64_t type);

}  // namespace ultramarine::net
