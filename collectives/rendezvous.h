// Ranks finding each other without MPI: rank 0 listens where MASTER_ADDR and MASTER_PORT say, and gives a few bytes (an
// ncclUniqueId) to every other rank of its gang, once all have come. Plain TCP; it knows no NCCL and no scheduler.
//
// A connection says who it is first: rank, world size and token (job, attempt, gang). What doesn't fit is refused with
// the reason and doesn't disturb the others: a stranger, a rank of another gang, a rank that came already.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "collectives/communicator.h"

namespace ultramarine::collectives {

/// One rank's view of its gang.
struct Rendezvous {
  std::string address;     // of rank 0: a name or a number
  std::uint16_t port = 0;  // on which rank 0 listens
  int rank = 0;
  int world_size = 1;
  std::string token;  // the same on all ranks of one gang, and of no other; not a secret
};

/// As torchrun and our launcher say it: RANK, WORLD_SIZE (absent: a gang of one), MASTER_ADDR, MASTER_PORT; the token
/// from ULTRA_JOB_ID, ULTRA_ATTEMPT and ULTRA_GANG. Throws CollectiveError that names the variable.
Rendezvous rendezvous_from_environment();

/// Every rank calls it once; it returns rank 0's `from_root`. Throws CollectiveError: on rank 0 and on those that came,
/// with the ranks that didn't come in time; on a refused rank, why.
std::string rendezvous(const Rendezvous& place, const std::string& from_root, std::chrono::milliseconds deadline);

}  // namespace ultramarine::collectives
