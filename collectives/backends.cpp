// The table of backends; knows their constructors and nothing of how they work.
#include "collectives/backends.h"

#include <array>

#include "collectives/in_process/in_process.h"
#include "collectives/mpi/mpi.h"

namespace ultramarine::collectives {
namespace {

std::vector<std::unique_ptr<Communicator>> make_one_mpi(int ranks_here) {
  if (ranks_here != 1) throw CollectiveError("mpi: one rank in each process, not " + std::to_string(ranks_here));
  std::vector<std::unique_ptr<Communicator>> communicators;
  communicators.push_back(make_mpi());
  return communicators;
}

constexpr std::array table = {
    Backend{"in_process", "threads of one process; the reference", false, make_in_process},
    Backend{"mpi", "processes started by a launcher that speaks PMIx", true, make_one_mpi},
};

}  // namespace

std::span<const Backend> backends() { return table; }

std::string backend_names() {
  std::string names;
  for (const Backend& backend : table) names += (names.empty() ? "" : ", ") + std::string(backend.name);
  return names;
}

const Backend& find_backend(std::string_view name) {
  for (const Backend& backend : table) {
    if (backend.name == name) return backend;
  }
  throw CollectiveError("unknown backend \"" + std::string(name) + "\": this build has " + backend_names());
}

}  // namespace ultramarine::collectives
