// One rank of the MPI tests, started by mpirun. Usage: mpi_rank conformance [elements_per_message] | late MS | drop
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "collectives/mpi/mpi.h"
#include "conformance.h"

using namespace ultramarine::collectives;

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  const bool small_messages = mode == "conformance" && argc > 2;
  const auto communicator = small_messages ? make_mpi(std::strtoul(argv[2], nullptr, 10)) : make_mpi();
  if (mode == "conformance") {
    const auto problems = run_conformance(*communicator);
    for (const auto& problem : problems) std::fprintf(stderr, "%s\n", problem.c_str());
    std::int64_t failed = problems.empty() ? 0 : 1;
    communicator->all_reduce({&failed, 1, DataType::int64, Residence::host}, Operation::sum)
        ->wait(std::chrono::seconds(60));
    if (communicator->rank() == 0)
      std::printf("%d ranks, %ld with problems\n", communicator->world_size(), static_cast<long>(failed));
    return failed == 0 ? 0 : 1;
  }
  // Rank 1 never enters the second collective.
  communicator->barrier()->wait(std::chrono::seconds(60));
  if (communicator->rank() == 1) {
    communicator->broadcast({}, 0)->wait(std::chrono::seconds(60));  // returns: nothing to receive
    for (;;) pause();                                                // until the launcher ends it
  }
  communicator->broadcast({}, 0)->wait(std::chrono::seconds(60));
  float value = 1;
  auto pending = communicator->all_reduce({&value, 1, DataType::float32, Residence::host}, Operation::sum);
  if (mode == "drop") return pending.reset(), 0;
  pending->wait(std::chrono::milliseconds(std::strtol(argv[2], nullptr, 10)));
  return 0;
}
