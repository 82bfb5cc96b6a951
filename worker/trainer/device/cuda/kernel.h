// The words in which this folder's .cu files are written. nvcc reads them as plain CUDA; any other compiler finds
// kernel_emulation.h on its path (tests/support/gpu), in which the same words run on a CPU. Two rules beyond CUDA's
// own: a kernel is launched by launch(), and its arguments are numbers, pointers, and structs of numbers that say so
// (holds_no_pointers), never structs that hide pointers.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#if defined(__CUDACC__)

/// Dynamic shared memory of the block as an array `name` of `type`.
#define ULTRAMARINE_DYNAMIC_SHARED(type, name)                    \
  extern __shared__ __align__(16) unsigned char name##_dynamic[]; \
  type* name = reinterpret_cast<type*>(name##_dynamic)
/// Before a loop over indices of an array in registers.
#define ULTRAMARINE_UNROLL _Pragma("unroll")
/// Behind the definition of each kernel: an emulation finds it by name.
#define ULTRAMARINE_KERNEL(name) static_assert(true)

namespace ultramarine::trainer::cuda {
template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
                   Arguments... arguments) {
  cudaLaunchConfig_t configuration{};
  configuration.gridDim = grid;
  configuration.blockDim = block;
  configuration.dynamicSmemBytes = shared_bytes;
  configuration.stream = stream;
  return cudaLaunchKernelEx(&configuration, kernel, static_cast<Parameters>(arguments)...);
}
}  // namespace ultramarine::trainer::cuda

#else

#include "kernel_emulation.h"

#define ULTRAMARINE_DYNAMIC_SHARED(type, name) \
  type* name = static_cast<type*>(::ultramarine::emulation::dynamic_shared_memory())
#define ULTRAMARINE_UNROLL
#define ULTRAMARINE_KERNEL(name) static const ::ultramarine::emulation::Registration<&name> name##_registration(#name)

namespace ultramarine::trainer::cuda {
using ::ultramarine::emulation::launch;
}

#endif
