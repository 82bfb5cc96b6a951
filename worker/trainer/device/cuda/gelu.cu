// GELU in its tanh form, a thread per element.
#include "worker/trainer/device/cuda/block.h"
#include "worker/trainer/device/cuda/kernels.h"

namespace ultramarine::trainer::cuda {

constexpr float gelu_scale = 0.7978845608028654F;  // sqrt(2/pi)
constexpr float gelu_cubic = 0.044715F;

__global__ void gelu_forward_kernel(std::size_t count, const float* in, float* out) {
  const std::size_t i = thread_number();
  if (i >= count) return;
  const float x = in[i], u = gelu_scale * (x + gelu_cubic * x * x * x);
  out[i] = x / (1.0F + expf(-2.0F * u));
}
ULTRAMARINE_KERNEL(gelu_forward_kernel);

__global__ void gelu_backward_kernel(std::size_t count, const float* in, float* d) {
  const std::size_t i = thread_number();
  if (i >= count) return;
  const float x = in[i], u = gelu_scale * (x + gelu_cubic * x * x * x);
  const float slope = gelu_scale * (1.0F + 3.0F * gelu_cubic * x * x);
  const float s = 1.0F / (1.0F + expf(-2.0F * u));
  d[i] *= s + x * s * (1.0F - s) * 2.0F * slope;
}
ULTRAMARINE_KERNEL(gelu_backward_kernel);

cudaError_t gelu_forward(std::size_t count, const float* in, float* out, cudaStream_t stream) {
  return launch(gelu_forward_kernel, blocks_for(count), dim3(element_threads), 0, stream, count, in, out);
}
cudaError_t gelu_backward(std::size_t count, const float* in, float* d, cudaStream_t stream) {
  return launch(gelu_backward_kernel, blocks_for(count), dim3(element_threads), 0, stream, count, in, d);
}

}  // namespace ultramarine::trainer::cuda
