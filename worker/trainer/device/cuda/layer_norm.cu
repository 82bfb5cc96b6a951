// Layer norm: a block per row; for the gradients of weight and bias sums over columns.
#include "worker/trainer/device/cuda/block.h"
#include "worker/trainer/device/cuda/kernels.h"

namespace ultramarine::trainer::cuda {

__global__ void __launch_bounds__(row_threads)
    layer_norm_forward_kernel(std::size_t width, const float* in, const float* weight, const float* bias, float* out,
                              float* means, float* scales) {
  const std::size_t row = blockIdx.x;
  const float* x = in + row * width;
  float sum = 0;
  for (std::size_t i = threadIdx.x; i < width; i += blockDim.x) sum += x[i];
  const float mean = block_sum(sum) / static_cast<float>(width);
  float squares = 0;
  for (std::size_t i = threadIdx.x; i < width; i += blockDim.x) squares += (x[i] - mean) * (x[i] - mean);
  const float scale = 1.0F / sqrtf(block_sum(squares) / static_cast<float>(width) + 1e-5F);
  for (std::size_t i = threadIdx.x; i < width; i += blockDim.x)
    out[row * width + i] = (x[i] - mean) * scale * weight[i] + bias[i];
  if (threadIdx.x == 0) {
    means[row] = mean;
    scales[row] = scale;
  }
}
ULTRAMARINE_KERNEL(layer_norm_forward_kernel);

// With n = (x - mean) * scale and g = d_out * weight: d_x = scale * (g - mean(g) - n * mean(g * n)).
__global__ void __launch_bounds__(row_threads)
    layer_norm_backward_kernel(std::size_t width, const float* in, const float* weight, const float* means,
                               const float* scales, const float* d_out, float* d_in) {
  const std::size_t row = blockIdx.x;
  const float* x = in + row * width;
  const float* d_y = d_out + row * width;
  const float mean = means[row], scale = scales[row];
  float g_sum = 0, gn_sum = 0;
  for (std::size_t i = threadIdx.x; i < width; i += blockDim.x) {
    const float g = d_y[i] * weight[i];
    g_sum += g;
    gn_sum += g * (x[i] - mean) * scale;
  }
  const float g_mean = block_sum(g_sum) / static_cast<float>(width);
  const float gn_mean = block_sum(gn_sum) / static_cast<float>(width);
  for (std::size_t i = threadIdx.x; i < width; i += blockDim.x) {
    const float n = (x[i] - mean) * scale;
    d_in[row * width + i] += scale * (d_y[i] * weight[i] - g_mean - n * gn_mean);
  }
}
ULTRAMARINE_KERNEL(layer_norm_backward_kernel);

__global__ void __launch_bounds__(column_threads)
    layer_norm_parameters_kernel(std::size_t rows, std::size_t width, const float* in, const float* means,
                                 const float* scales, const float* d_out, float* d_weight, float* d_bias) {
  const ColumnPlace here;
  const std::size_t i = here.column;
  float weight_sum = 0, bias_sum = 0;
  if (i < width) {
    for (std::size_t row = here.lane; row < rows; row += column_lanes) {
      const float d = d_out[row * width + i];
      weight_sum += d * (in[row * width + i] - means[row]) * scales[row];
      bias_sum += d;
    }
  }
  weight_sum = sum_of_lanes(weight_sum);
  bias_sum = sum_of_lanes(bias_sum);
  if (here.lane != 0 || i >= width) return;
  d_weight[i] += weight_sum;
  d_bias[i] += bias_sum;
}
ULTRAMARINE_KERNEL(layer_norm_parameters_kernel);

cudaError_t layer_norm_forward(std::size_t rows, std::size_t width, const float* in, const float* weight,
                               const float* bias, float* out, float* mean, float* scale, cudaStream_t stream) {
  return launch(layer_norm_forward_kernel, dim3(static_cast<unsigned>(rows)), dim3(row_threads), 0, stream, width, in,
                weight, bias, out, mean, scale);
}

cudaError_t layer_norm_backward(std::size_t rows, std::size_t width, const float* in, const float* weight,
                                const float* mean, const float* scale, const float* d_out, float* d_in, float* d_weight,
                                float* d_bias, cudaStream_t stream) {
  const cudaError_t error = launch(layer_norm_backward_kernel, dim3(static_cast<unsigned>(rows)), dim3(row_threads), 0,
                                   stream, width, in, weight, mean, scale, d_out, d_in);
  if (error != cudaSuccess) return error;
  return launch(layer_norm_parameters_kernel, column_blocks_for(width), dim3(column_threads), 0, stream, rows, width,
                in, mean, scale, d_out, d_weight, d_bias);
}

}  // namespace ultramarine::trainer::cuda
