// What every backend must do, as one body that each rank of a gang runs. Values are whole numbers that float holds
// exactly, so every comparison is exact. It knows no backend: problems come back as text, and the caller decides how to
// report them.
#pragma once

#include <string>
#include <vector>

#include "collectives/communicator.h"

namespace ultramarine::collectives {

/// Runs all checks on this rank; every rank of the gang must call it. The lines name the check, rank and element; none
/// = all right.
std::vector<std::string> run_conformance(Communicator& communicator);

}  // namespace ultramarine::collectives
