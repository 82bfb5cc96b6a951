#include "worker/launcher/privileged/own_mounts.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>

namespace ultramarine::launcher {
namespace {

bool is_same(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

/// 0, or an errno.
int put(const char* folder, const char* place) {
  struct stat meant {}, seen {};
  if (::stat(folder, &meant) != 0 || ::mount(folder, place, nullptr, MS_BIND, nullptr) != 0 || ::stat(place, &seen) != 0) return errno;
  return is_same(meant, seen) ? 0 : EPERM;
}

}  // namespace

int enter_own_mounts(const OwnMounts& mounts) {
  if (mounts.tmp.empty()) return 0;
  struct stat before {}, after {};
  constexpr const char* mine = "/proc/self/ns/mnt";
  if (::stat(mine, &before) != 0 || ::unshare(CLONE_NEWNS) != 0 || ::stat(mine, &after) != 0) return errno;
  if (is_same(before, after)) return EPERM;
  // What the node mounts later (home folders, on demand) comes here, too; nothing of what follows goes there.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) return errno;
  const int error_number = put(mounts.shm.c_str(), "/dev/shm");
  return error_number != 0 ? error_number : put(mounts.tmp.c_str(), "/tmp");
}

}  // namespace ultramarine::launcher
