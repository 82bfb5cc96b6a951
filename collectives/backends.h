// Name -> constructor of every backend in this build. A new backend is one folder and one line in backends.cpp; the
// shared conformance test then runs on it unchanged.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/communicator.h"

namespace ultramarine::collectives {

struct Backend {
  std::string_view name;     // as in `--backend` and Communicator::backend
  std::string_view summary;  // one line for help texts
  bool
      spans_processes;  // its ranks are processes started by a launcher, one in each; otherwise threads of this process
  /// The communicators of the ranks that live in this process. Throws CollectiveError, also when `ranks_here` is not 1
  /// and the backend spans processes.
  std::vector<std::unique_ptr<Communicator>> (*make)(int ranks_here);
};

std::span<const Backend> backends();
/// Throws CollectiveError, naming those that there are, for an unknown name.
const Backend& find_backend(std::string_view name);
/// `in_process, mpi`: for help and error texts.
std::string backend_names();

}  // namespace ultramarine::collectives
