// What every backend must do, as one body that each rank of a gang runs. Values are whole numbers that their type holds
// exactly, so every comparison is exact. It knows no backend: problems come back as text, and the caller decides how to
// report them.
#pragma once

#include <string>
#include <vector>

#include "collectives/communicator.h"

namespace ultramarine::collectives {

/// Where the buffers of the checks live, and what can't be asked of every backend.
struct Conformance {
  Residence residence = Residence::host;
  void* (*allocate)(std::size_t bytes) = nullptr;  // these four only for device memory
  void (*release)(void* memory) = nullptr;
  void (*copy_to_device)(void* to, const void* from, std::size_t bytes) = nullptr;
  void (*copy_to_host)(void* to, const void* from, std::size_t bytes) = nullptr;
  bool bf16_rounds_once = true;  // sums of bf16 are added in float32
};

/// Runs all checks on this rank; every rank of the gang must call it. The lines name the check, rank and element; none
/// = all right.
std::vector<std::string> run_conformance(Communicator& communicator, const Conformance& conformance = {});

}  // namespace ultramarine::collectives
