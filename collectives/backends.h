// Name -> constructor of every backend in this build. A new backend is one folder and one line in backends.cpp; the
// shared conformance test then runs on it unchanged.
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/communicator.h"

namespace ultramarine::collectives {

constexpr std::chrono::milliseconds joining_deadline = std::chrono::minutes(5);

struct Backend {
  std::string_view name;     // as in `--backend` and Communicator::backend
  std::string_view summary;  // one line for help texts
  bool
      spans_processes;  // its ranks are processes started by a launcher, one in each; otherwise threads of this process
  std::vector<std::unique_ptr<Communicator>> (*constructor)(int ranks_here, std::chrono::milliseconds deadline);

  /// The communicators of the ranks that live in this process, when the whole gang is there. Throws CollectiveError:
  /// also when it can't be used on this machine, with the reason; when `ranks_here` is not 1 and the backend spans
  /// processes (but `nccl`, where no launcher said WORLD_SIZE, makes a gang of threads with a GPU each); when the gang
  /// isn't complete by the deadline.
  std::vector<std::unique_ptr<Communicator>> make(int ranks_here,
                                                  std::chrono::milliseconds deadline = joining_deadline) const {
    return constructor(ranks_here, deadline);
  }
};

std::span<const Backend> backends();
/// Throws CollectiveError, naming those that there are, for an unknown name.
const Backend& find_backend(std::string_view name);
/// `in_process, mpi, nccl`: for help and error texts.
std::string backend_names();

}  // namespace ultramarine::collectives
