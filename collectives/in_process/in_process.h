// The ranks are threads of one process: the reference that other backends are compared with. Sums are added in the
// order rank 0, 1, ... N-1, by the rank that arrives last, so the bits are the same everywhere and every time.
#pragma once

#include <memory>
#include <vector>

#include "collectives/communicator.h"

namespace ultramarine::collectives {

/// Element r belongs to rank r; each may be used by one thread at a time and destroyed independently of the others.
/// Collectives are matched by their order on each rank. An operation, root, count or type that differs between ranks, a
/// rank that gives up (deadline, destroyed Pending) and a rank whose communicator is destroyed early are reported by
/// all the others as CollectiveError; then this gang of communicators is done for, the process isn't.
std::vector<std::unique_ptr<Communicator>> make_in_process(int world_size);

}  // namespace ultramarine::collectives
