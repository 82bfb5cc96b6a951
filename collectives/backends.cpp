// The table of backends; knows their constructors and nothing of how they work.
#include "collectives/backends.h"

#include <array>
#include <cstdlib>
#include <future>
#include <thread>

#include "collectives/cuda_plugin.h"
#include "collectives/in_process/in_process.h"
#include "collectives/mpi/mpi.h"
#include "collectives/rendezvous.h"

namespace ultramarine::collectives {
namespace {

using Communicators = std::vector<std::unique_ptr<Communicator>>;
using std::chrono::milliseconds;

Communicators make_threads(int ranks_here, milliseconds) { return make_in_process(ranks_here); }

Communicators make_one_mpi(int ranks_here, milliseconds) {
  if (ranks_here != 1) throw CollectiveError("mpi: one rank in each process, not " + std::to_string(ranks_here));
  Communicators communicators;
  communicators.push_back(make_mpi());
  return communicators;
}

/// One rank of a gang of processes. It takes the device of its local rank, as under torchrun.
std::unique_ptr<Communicator> make_nccl_rank(const CudaPlugin& plugin, const Rendezvous& place, milliseconds deadline) {
  const char* const local_rank = std::getenv("LOCAL_RANK");
  const int device = local_rank ? std::atoi(local_rank) : 0;
  const int devices = plugin.device_count();
  if (device < 0 || device >= devices) {
    throw CollectiveError("nccl: rank " + std::to_string(place.rank) + " has LOCAL_RANK " + std::to_string(device) +
                          ", but this process sees " + std::to_string(devices) + " GPUs");
  }
  return plugin.make_nccl(
      {.rank = place.rank,
       .world_size = place.world_size,
       .device = device,
       .deadline = deadline,
       .exchange = [place, deadline](const std::string& from_root) { return rendezvous(place, from_root, deadline); }});
}

/// A gang of threads: the ranks join side by side, because joining waits for the others.
Communicators make_nccl_threads(const CudaPlugin& plugin, int ranks, milliseconds deadline) {
  if (ranks > plugin.device_count()) {
    throw CollectiveError("nccl: " + std::to_string(ranks) + " ranks need a GPU each, and this process sees " +
                          std::to_string(plugin.device_count()));
  }
  std::promise<std::string> from_root;
  const std::shared_future<std::string> everywhere = from_root.get_future().share();
  std::vector<std::future<std::unique_ptr<Communicator>>> joining;
  for (int rank = 0; rank < ranks; ++rank) {
    const auto exchange = [&from_root, everywhere, rank, deadline](const std::string& bytes) {
      if (rank == 0) from_root.set_value(bytes);
      if (everywhere.wait_for(deadline) != std::future_status::ready)
        throw DeadlineExceeded("nccl: rank 0 gave no unique id");
      return everywhere.get();
    };
    joining.push_back(
        std::async(std::launch::async, [&from_root, &plugin, everywhere, rank, ranks, deadline, exchange] {
          try {
            return plugin.make_nccl(
                {.rank = rank, .world_size = ranks, .device = rank, .deadline = deadline, .exchange = exchange});
          } catch (...) {
            // If rank 0 fails before it has given anything, nobody waits for it.
            if (rank == 0 && everywhere.wait_for(milliseconds(0)) != std::future_status::ready)
              from_root.set_exception(std::current_exception());
            throw;
          }
        }));
  }
  Communicators communicators;
  for (auto& rank : joining) rank.wait();
  for (auto& rank : joining) communicators.push_back(rank.get());
  return communicators;
}

Communicators make_nccl(int ranks_here, milliseconds deadline) {
  const LoadedPlugin& loaded = cuda_plugin();
  if (!loaded.plugin) throw CollectiveError("nccl: " + loaded.reason);
  const std::string unusable = loaded.plugin->why_unusable();
  if (!unusable.empty()) throw CollectiveError("nccl: " + unusable);
  const Rendezvous place = rendezvous_from_environment();
  if (place.world_size > 1 && ranks_here != 1)
    throw CollectiveError("nccl: one rank in each of the launcher's processes, not " + std::to_string(ranks_here));
  if (ranks_here != 1) return make_nccl_threads(*loaded.plugin, ranks_here, deadline);
  Communicators communicators;
  communicators.push_back(make_nccl_rank(*loaded.plugin, place, deadline));
  return communicators;
}

constexpr std::array table = {
    Backend{"in_process", "threads of one process; the reference", false, make_threads},
    Backend{"mpi", "processes started by a launcher that speaks PMIx", true, make_one_mpi},
    Backend{"nccl", "processes with a GPU each; needs libultramarine_cuda.so", true, make_nccl},
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
