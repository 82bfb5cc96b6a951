#include "collectives/nccl/device_memory.h"

#include <cuda_runtime_api.h>

#include "collectives/communicator.h"
#include "collectives/nccl/cuda_check.h"

namespace ultramarine::collectives {

std::string why_cuda_is_unusable() {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  // Without a driver (35), with the stub library (34), with a driver and no card (100): the same to whoever wants a
  // GPU.
  if (code != cudaSuccess) return "CUDA: no usable GPU: " + describe_cuda_error(code);
  return count > 0 ? "" : "CUDA: no usable GPU: this process sees none";
}

int device_count() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

void use_device(int index) { check_cuda(cudaSetDevice(index), "device " + std::to_string(index)); }

void* allocate_device_memory(std::size_t bytes) {
  void* memory = nullptr;
  check_cuda(cudaMalloc(&memory, bytes), "cudaMalloc of " + std::to_string(bytes) + " bytes");
  return memory;
}

void release_device_memory(void* memory) { cudaFree(memory); }

void copy_to_device(void* to, const void* from, std::size_t bytes) {
  check_cuda(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice), "copy to the device");
  // From pageable memory cudaMemcpy returns once the bytes are staged, and no other stream waits for their way on.
  check_cuda(cudaStreamSynchronize(nullptr), "copy to the device");
}

void copy_to_host(void* to, const void* from, std::size_t bytes) {
  check_cuda(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost), "copy from the device");
}

}  // namespace ultramarine::collectives
