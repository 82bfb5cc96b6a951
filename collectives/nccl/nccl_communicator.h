// Ranks with a GPU each, over NCCL. Part of libultramarine_cuda.so: the only folder that includes nccl.h.
#pragma once

#include <memory>

#include "collectives/communicator.h"
#include "collectives/cuda_plugin.h"

namespace ultramarine::collectives {

/// Joins the gang of `world`; returns when all ranks have. Throws CollectiveError (DeadlineExceeded after
/// world.deadline); then this process can go on without it.
///
/// Works on device memory of `world.device`, from any thread, one at a time. A collective is ordered after what the
/// caller's stream holds when it is called and before what is put there afterwards. Anything that fails, and every
/// deadline, aborts the NCCL communicator: this and all later collectives throw CollectiveError, the process and the
/// device go on.
std::unique_ptr<Communicator> make_nccl(const NcclWorld& world);

}  // namespace ultramarine::collectives
