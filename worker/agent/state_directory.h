// The agent's folder on disk (0700): the lock that keeps a second agent out, the memory that survives a restart, the jobs folder.
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

  /// Empty when there is none yet. Throws AgentError when it is damaged.
  worker_core::AgentMemory load() const;
  /// Returns once it is on disk; until then the old one stands. Throws AgentError.
  void save(const worker_core::AgentMemory& memory) const;

  std::string jobs_folder() const { return path_ + "/jobs"; }

 private:
  std::string memory_file() const { return path_ + "/agent.json"; }

  std::string path_;
  int lock_ = -1;
};

}  // namespace ultramarine::agent
