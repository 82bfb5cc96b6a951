// The scratch folder of each attempt on this node: BASE/JOB.ATTEMPT, 0700, shared by the script and all its gangs here, one after the other
// or side by side, and removed with all that is in it when the attempt is over. The shims make it; whoever speaks for the node (the
// agent's launcher) knows when it may go: when somebody said that the attempt is over, or, should that word never come, an hour after
// its time was.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "scheduler/protocol/agent_messages.h"
#include "worker/launcher/privileged/own_mounts.h"

namespace ultramarine::launcher {

class ScratchFolders {
 public:
  using Attempt = std::pair<JobId, std::int64_t>;
  /// Whether a gang of this attempt is still known here.
  using HasGangs = std::function<bool(const Attempt&)>;

  /// `base` "": there are none.
  ScratchFolders(std::string base, HasGangs has_gangs) : base_(std::move(base)), has_gangs_(std::move(has_gangs)) {}

  /// "" when there are none.
  std::string path_of(const Attempt& attempt) const;
  /// A gang of it comes: notes when its time will be over. Best effort.
  void expect(const protocol::LaunchSpec& launch, Time now) const;
  /// No gang of it will come any more: goes as soon as none is known.
  void over(const Attempt& attempt);
  /// A gang is no longer known.
  void gang_gone(const Attempt& attempt);
  /// Removes what is left of attempts whose time was over long ago.
  void sweep(Time now) const;

 private:
  void remove(const Attempt& attempt) const;
  std::string until_file(const Attempt& attempt) const { return path_of(attempt) + ".until"; }

  const std::string base_;
  const HasGangs has_gangs_;
  std::set<Attempt> over_;  // and still with gangs
};

/// What the gangs of an attempt see as /tmp and /dev/shm, where they have these to themselves: made, or found as an earlier gang or agent made it. Lies
/// on the disk beside `scratch_folder`, and in the node's /dev/shm; only root gets there except through `enter_own_mounts`. Goes with the scratch folder.
/// Throws FolderError.
OwnMounts make_private_folders(const std::string& scratch_folder);

}  // namespace ultramarine::launcher
