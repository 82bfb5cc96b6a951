// A process that SIGKILL doesn't end, as one that hangs in the kernel: frozen by the freezer of control groups version
// 1, until it is thawed. Needs root.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <string>

#include "worker/launcher/containment/containment.h"
#include "worker/launcher/containment/group_files.h"

namespace ultramarine::launcher {

class Ice {
 public:
  Ice() : freezer_(own_groups().freezer) {
    if (freezer_.empty()) return;
    group_ = freezer_ + "/ice-" + std::to_string(::getpid());
    try {
      make_group(group_);
    } catch (const FolderError&) {
      group_.clear();
    }
  }
  Ice(const Ice&) = delete;
  Ice& operator=(const Ice&) = delete;
  ~Ice() { thaw(); }

  /// False where there is none: not root, or without that freezer.
  explicit operator bool() const { return !group_.empty(); }
  bool freeze(std::int64_t pid) const {
    return write_group_file(group_ + "/cgroup.procs", std::to_string(pid)) == 0 &&
           write_group_file(group_ + "/freezer.state", "FROZEN") == 0;
  }
  /// What was killed in the meantime ends now. For good.
  void thaw() {
    if (group_.empty()) return;
    write_group_file(group_ + "/freezer.state", "THAWED");
    for (int tries = 0; tries < 1000 && !remove_group(group_); ++tries) ::usleep(5000);  // until they have ended
    group_.clear();
  }

 private:
  std::string freezer_, group_;
};

}  // namespace ultramarine::launcher
