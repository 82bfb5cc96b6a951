// AdamW (Loshchilov & Hutter 2019), a thread per parameter.
#include "worker/trainer/device/cuda/block.h"
#include "worker/trainer/device/cuda/kernels.h"

namespace ultramarine::trainer::cuda {

__global__ void adamw_kernel(std::size_t count, float beta_1, float beta_2, float epsilon, float gradient_scale,
                             float rate, float second_correction, float keep, const float* gradients, float* parameters,
                             float* first_moments, float* second_moments) {
  const std::size_t i = thread_number();
  if (i >= count) return;
  const float gradient = gradients[i] * gradient_scale;
  const float first = beta_1 * first_moments[i] + (1.0F - beta_1) * gradient;
  const float second = beta_2 * second_moments[i] + (1.0F - beta_2) * gradient * gradient;
  first_moments[i] = first;
  second_moments[i] = second;
  parameters[i] = keep * parameters[i] - rate * first / (sqrtf(second * second_correction) + epsilon);
}
ULTRAMARINE_KERNEL(adamw_kernel);

cudaError_t adamw(std::size_t count, AdamwStep step, const float* gradients, float* parameters, float* first_moments,
                  float* second_moments, cudaStream_t stream) {
  return launch(adamw_kernel, blocks_for(count), dim3(element_threads), 0, stream, count, step.beta_1, step.beta_2,
                step.epsilon, step.gradient_scale, step.rate, step.second_correction, step.keep, gradients, parameters,
                first_moments, second_moments);
}

}  // namespace ultramarine::trainer::cuda
