// The agent's folder on disk (0700): the lock that keeps a second agent out, the memory that survives a restart, the jobs folder.
// The memory is a file, and beside it one of changes, a line each: what is small and comes often isn't written with all the rest.
#pragma once

#include <string>

#include "worker/core/agent_memory.h"

namespace ultramarine::agent {

/// Below a state directory: what attempts keep on this node until they end, and where this node's programs reach the API.
inline std::string scratch_base(const std::string& state_directory) { return state_directory + "/scratch"; }
inline std::string api_socket(const std::string& state_directory) { return state_directory + "/api.sock"; }

class StateDirectory {
 public:
  /// Makes what is missing and takes the lock, which the kernel frees with this process however it ends.
  /// Throws AgentError: exit code 6 when another agent has it, 1 when it can't be used.
  explicit StateDirectory(std::string path);
  ~StateDirectory();
  StateDirectory(const StateDirectory&) = delete;
  StateDirectory& operator=(const StateDirectory&) = delete;

  /// Empty when there is none yet. Comes before `save`. Throws AgentError when it is damaged.
  const worker_core::AgentMemory& load();
  /// Returns once it is on disk; until then the old one stands. On a full disk it takes the place that was set aside for that. Throws AgentError.
  void save(const worker_core::MemoryChange& change);
  /// Why nothing more should be started here: the disk is as good as full. "" = there is room.
  std::string why_no_room();

  std::string jobs_folder() const { return path_ + "/jobs"; }

 private:
  std::string memory_file() const { return path_ + "/agent.json"; }
  std::string changes_file() const { return path_ + "/agent.changes"; }
  std::string reserve_file() const { return path_ + "/reserve"; }
  bool append(const std::string& line);
  void write_all();
  void set_room_aside();

  std::string path_;
  int lock_ = -1;
  worker_core::AgentMemory memory_;  // that of the file with all changes
  int changes_ = -1;
  std::int64_t changes_bytes_ = 0;
  bool has_reserve_ = false;
};

}  // namespace ultramarine::agent
