// Why a test that wants a GPU can't have one. Everything here also answers on a fake GPU.
#pragma once

#include <cuda_runtime_api.h>

#include <string>

namespace ultramarine {

/// Empty when there is a usable device; otherwise the text that a skipped test prints.
inline std::string why_no_gpu(int devices_needed = 1) {
  int devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  if (error != cudaSuccess)
    return std::string("no usable GPU: ") + cudaGetErrorString(error) + " (" + std::to_string(static_cast<int>(error)) +
           ")";
  if (devices < devices_needed)
    return "needs " + std::to_string(devices_needed) + " GPUs, there are " + std::to_string(devices);
  return "";
}

}  // namespace ultramarine
