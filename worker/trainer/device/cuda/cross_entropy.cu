// Softmax and its cross entropy: a block per row.
#include "worker/trainer/device/cuda/block.h"
#include "worker/trainer/device/cuda/kernels.h"

namespace ultramarine::trainer::cuda {

__global__ void __launch_bounds__(row_threads)
    cross_entropy_forward_kernel(std::size_t classes, float* logits, const std::uint8_t* targets, float* losses) {
  const std::size_t row = blockIdx.x;
  float* x = logits + row * classes;
  const float at_target = x[targets[row]];  // before the barriers of block_max, that is before anybody writes
  float largest = -INFINITY;
  for (std::size_t i = threadIdx.x; i < classes; i += blockDim.x) largest = fmaxf(largest, x[i]);
  largest = block_max(largest);
  float own = 0;
  for (std::size_t i = threadIdx.x; i < classes; i += blockDim.x) {
    x[i] = expf(x[i] - largest);
    own += x[i];
  }
  const float sum = block_sum(own), factor = 1.0F / sum;
  for (std::size_t i = threadIdx.x; i < classes; i += blockDim.x) x[i] *= factor;
  if (threadIdx.x == 0) losses[row] = largest + logf(sum) - at_target;
}
ULTRAMARINE_KERNEL(cross_entropy_forward_kernel);

__global__ void cross_entropy_backward_kernel(std::size_t count, std::size_t classes, float* probabilities,
                                              const std::uint8_t* targets, float weight) {
  const std::size_t i = thread_number();
  if (i >= count) return;
  const float at_target = i % classes == targets[i / classes] ? 1.0F : 0.0F;
  probabilities[i] = (probabilities[i] - at_target) * weight;
}
ULTRAMARINE_KERNEL(cross_entropy_backward_kernel);

cudaError_t cross_entropy_forward(std::size_t rows, std::size_t classes, float* logits, const std::uint8_t* targets,
                                  float* losses, cudaStream_t stream) {
  return launch(cross_entropy_forward_kernel, dim3(static_cast<unsigned>(rows)), dim3(row_threads), 0, stream, classes,
                logits, targets, losses);
}
cudaError_t cross_entropy_backward(std::size_t rows, std::size_t classes, float* probabilities,
                                   const std::uint8_t* targets, float weight, cudaStream_t stream) {
  return launch(cross_entropy_backward_kernel, blocks_for(rows * classes), dim3(element_threads), 0, stream,
                rows * classes, classes, probabilities, targets, weight);
}

}  // namespace ultramarine::trainer::cuda
