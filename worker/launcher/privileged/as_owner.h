// For a moment, this thread has no more rights than the user whose folder it works in: what he put there (links, names, numbers of processes)
// can't make the agent do what he couldn't do himself.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace ultramarine::launcher {

/// While it lives, the calling thread opens and removes files as the owner of `folder` (it may signal as before). No effect unless this process is root and the folder belongs
/// to somebody else; the folder's own parent must be ours alone, so that the owner is true. One inside another has no effect.
/// Throws FolderError.
class AsOwner {
 public:
  explicit AsOwner(const std::string& folder);
  AsOwner(const AsOwner&) = delete;
  AsOwner& operator=(const AsOwner&) = delete;
  ~AsOwner();

 private:
  void be_root_again();
  bool switched_ = false;
  std::vector<gid_t> groups_before_;
  gid_t gid_before_ = 0;
};

/// The owner of a folder; -1 when it isn't there.
std::int64_t owner_of(const std::string& folder);
/// An empty 0700 folder that belongs to the user, made in a folder that is ours alone. Throws FolderError.
void make_owned_folder(const std::string& path, uid_t uid, gid_t gid);

}  // namespace ultramarine::launcher
