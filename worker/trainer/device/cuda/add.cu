// Elementwise sums: the residual stream.
#include "worker/trainer/device/cuda/block.h"
#include "worker/trainer/device/cuda/kernels.h"

namespace ultramarine::trainer::cuda {

__global__ void add_kernel(std::size_t count, const float* a, const float* b, float* out) {
  const std::size_t i = thread_number();
  if (i < count) out[i] = a[i] + b[i];
}
ULTRAMARINE_KERNEL(add_kernel);

cudaError_t add(std::size_t count, const float* a, const float* b, float* out, cudaStream_t stream) {
  return launch(add_kernel, blocks_for(count), dim3(element_threads), 0, stream, count, a, b, out);
}

}  // namespace ultramarine::trainer::cuda
