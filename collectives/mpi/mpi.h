// The ranks are processes that a launcher speaking PMIx started (ours, or mpirun). Non-blocking MPI collectives on a
// communicator of our own; MPI is initialised with the first communicator and finalised at its destruction.
#pragma once

#include <cstddef>
#include <memory>

#include "collectives/communicator.h"

namespace ultramarine::collectives {

/// The exit code of a process that gave up waiting: a collective of MPI can't be cancelled.
constexpr int mpi_deadline_exit_code = 16;

/// MPI_COMM_WORLD as a communicator: one at a time in a process, one life of MPI in a process. Throws CollectiveError.
/// A wait past its deadline and a Pending destroyed before it is complete are said on stderr, then MPI_Abort ends the
/// gang with mpi_deadline_exit_code. Calls may come from any thread, one at a time (a mutex sees to it). A collective
/// of more than `elements_per_message` elements travels as several MPI collectives (MPI counts are 32 bits).
std::unique_ptr<Communicator> make_mpi(std::size_t elements_per_message = std::size_t{1} << 30);

}  // namespace ultramarine::collectives
