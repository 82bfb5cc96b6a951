#include "worker/launcher/privileged/as_owner.h"

#include <grp.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <exception>

#include "worker/launcher/job_folder.h"

namespace ultramarine::launcher {
namespace {

// The system calls themselves, because the library's functions change all threads of the process.
bool set_effective(uid_t uid) { return ::syscall(SYS_setresuid, -1, uid, -1) == 0; }
bool set_effective_group(gid_t gid) { return ::syscall(SYS_setresgid, -1, gid, -1) == 0; }
bool set_groups(const std::vector<gid_t>& groups) { return ::syscall(SYS_setgroups, groups.size(), groups.data()) == 0; }

}  // namespace

AsOwner::AsOwner(const std::string& folder) {
  struct stat status {};
  if (::geteuid() != 0 || ::lstat(folder.c_str(), &status) != 0 || status.st_uid == 0) return;
  if (!S_ISDIR(status.st_mode)) throw FolderError(folder + " is no folder");
  const int count = ::getgroups(0, nullptr);
  groups_before_.resize(static_cast<std::size_t>(count < 0 ? 0 : count));
  if (count < 0 || ::getgroups(count, groups_before_.data()) != count) throw FolderError("can't act as the owner of " + folder + ": " + std::strerror(errno));
  gid_before_ = ::getegid();
  switched_ = true;
  const bool done = set_groups({status.st_gid}) && set_effective_group(status.st_gid) && set_effective(status.st_uid);
  if (done && ::geteuid() == status.st_uid) return;
  const int problem = errno;
  be_root_again();
  throw FolderError("can't act as the owner of " + folder + ": " + std::strerror(problem));
}

AsOwner::~AsOwner() {
  if (switched_) be_root_again();
}

void AsOwner::be_root_again() {
  const int problem = errno;
  // Whoever can't be himself again must not go on.
  if (!set_effective(0) || !set_effective_group(gid_before_) || !set_groups(groups_before_) || ::geteuid() != 0) std::terminate();
  errno = problem;
}

std::int64_t owner_of(const std::string& folder) {
  struct stat status {};
  return ::lstat(folder.c_str(), &status) == 0 && S_ISDIR(status.st_mode) ? static_cast<std::int64_t>(status.st_uid) : -1;
}

void make_owned_folder(const std::string& path, uid_t uid, gid_t gid) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) throw FolderError("can't make folder " + path + ": " + std::strerror(errno));
  if (::lchown(path.c_str(), uid, gid) != 0) throw FolderError("can't give folder " + path + " to its owner: " + std::strerror(errno));
}

}  // namespace ultramarine::launcher
