#include "scheduler/net/network_disk.h"

#include <linux/magic.h>

namespace ultramarine::net {

std::string network_file_system(std::int64_t type) {
  constexpr std::uint32_t lustre = 0x0BD00BD0, gpfs = 0x47504653, beegfs = 0x19830326;
  switch (static_cast<std::uint32_t>(type)) {
    case NFS_SUPER_MAGIC:
      return "nfs";
    case lustre:
      return "lustre";
    case gpfs:
      return "gpfs";
    case CEPH_SUPER_MAGIC:
      return "ceph";
    case beegfs:
      return "beegfs";
    case CIFS_SUPER_MAGIC:
    case SMB2_SUPER_MAGIC:
      return "cifs";
    case FUSE_SUPER_MAGIC:
      return "fuse";
    case V9FS_MAGIC:
      return "9p";
    default:
      return "";
  }
}

}  // namespace ultramarine::net
