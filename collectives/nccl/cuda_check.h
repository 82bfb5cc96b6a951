// Codes of CUDA and NCCL as errors.
#pragma once

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <string>

#include "collectives/communicator.h"

namespace ultramarine::collectives {

/// `CUDA driver version is insufficient for CUDA runtime version (35)`.
inline std::string describe_cuda_error(cudaError_t code) {
  return std::string(cudaGetErrorString(code)) + " (" + std::to_string(static_cast<int>(code)) + ")";
}

inline void check_cuda(cudaError_t code, const std::string& what) {
  if (code == cudaSuccess) return;
  cudaGetLastError();  // a later call must not report it again
  throw CollectiveError("CUDA: " + what + ": " + describe_cuda_error(code));
}

/// `remote process exited or there was a network error (6): TEXT`, with NCCL's own text about the last error if it has
/// one.
inline std::string describe_nccl_error(ncclResult_t code, ncclComm_t communicator = nullptr) {
  std::string text = std::string(ncclGetErrorString(code)) + " (" + std::to_string(static_cast<int>(code)) + ")";
  const char* detail = ncclGetLastError(communicator);
  return detail && *detail ? text + ": " + detail : text;
}

}  // namespace ultramarine::collectives
