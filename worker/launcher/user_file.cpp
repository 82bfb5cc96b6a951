#include "worker/launcher/user_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>

namespace ultramarine::launcher {
namespace {

/// FIFOs and leases answer at once instead of waiting, terminals don't become ours.
constexpr int patient_with_nobody = O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

/// /proc/self/fd/N and the like aren't followed: they lead to what this process has open, past all folders that its user couldn't enter.
int open_following(const char* path) {
  open_how how{};
  how.flags = O_RDONLY | patient_with_nobody;
  how.resolve = RESOLVE_NO_MAGICLINKS;
  const long file = ::syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
  if (file >= 0 || errno != ENOSYS) return static_cast<int>(file);
  return ::open(path, O_RDONLY | patient_with_nobody);  // before Linux 5.6
}

int give_up_on(int file, int error_number) {
  ::close(file);
  errno = error_number;
  return -1;
}

/// 0, or an errno.
int problem_with(int file) {
  struct stat status {};
  if (::fstat(file, &status) != 0) return errno;
  return S_ISREG(status.st_mode) ? 0 : EINVAL;
}

bool is_below_proc(int file) {
  struct statfs system {};
  return ::fstatfs(file, &system) == 0 && system.f_type == PROC_SUPER_MAGIC;
}

}  // namespace

int open_for_reading(const std::string& path, Links links) noexcept {
  const bool follow = links == Links::follow;
  const int file = follow ? open_following(path.c_str()) : ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | patient_with_nobody);
  if (file < 0) return file;
  if (const int problem = problem_with(file); problem != 0) return give_up_on(file, problem);
  return follow && is_below_proc(file) ? give_up_on(file, EINVAL) : file;
}

int open_for_appending(const char* path) noexcept {
  const int file = ::open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | patient_with_nobody, 0600);
  if (file < 0) return file;
  const int problem = problem_with(file);
  return problem == 0 ? file : give_up_on(file, problem);
}

}  // namespace ultramarine::launcher
