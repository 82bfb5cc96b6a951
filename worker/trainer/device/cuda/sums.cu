// Sums over whole arrays. Long ones in two steps: a partial sum per block, then one thread adds these in order.
#include <algorithm>

#include "worker/trainer/device/cuda/block.h"
#include "worker/trainer/device/cuda/kernels.h"

namespace ultramarine::trainer::cuda {

constexpr std::size_t partial_sums_max = TrainingOperations::sum_scratch - 1;
constexpr std::size_t elements_per_block = 1024;

__global__ void add_up_kernel(std::size_t count, const float* values, float* sum) {
  float all = *sum;
  for (std::size_t i = 0; i < count; ++i) all += values[i];
  *sum = all;
}
ULTRAMARINE_KERNEL(add_up_kernel);

__global__ void mean_of_rows_kernel(std::size_t samples, std::size_t length, const float* values, float* means) {
  const std::size_t sample = thread_number();
  if (sample >= samples) return;
  float sum = 0;
  for (std::size_t i = 0; i < length; ++i) sum += values[sample * length + i];
  means[sample] = sum / static_cast<float>(length);
}
ULTRAMARINE_KERNEL(mean_of_rows_kernel);

/// result[1 + block] = the block's share of the sum.
__global__ void __launch_bounds__(element_threads)
    sum_of_squares_kernel(std::size_t count, const float* values, double* result) {
  double sum = 0;
  for (std::size_t i = thread_number(); i < count; i += static_cast<std::size_t>(gridDim.x) * blockDim.x)
    sum += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  sum = block_sum(sum);
  if (threadIdx.x == 0) result[1 + blockIdx.x] = sum;
}
ULTRAMARINE_KERNEL(sum_of_squares_kernel);

__global__ void sum_of_squares_end_kernel(int partial_sums, double* result) {
  double sum = 0;
  for (int i = 0; i < partial_sums; ++i) sum += result[1 + i];
  result[0] = sum;
}
ULTRAMARINE_KERNEL(sum_of_squares_end_kernel);

/// The finaliser of SplitMix64 (Steele, Lea & Flood 2014) of an element's place and bits.
__device__ inline std::uint64_t mix(std::uint64_t place, std::uint32_t bits) {
  std::uint64_t value = place * 0x9E3779B97F4A7C15ULL + bits;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ULL;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBULL;
  return value ^ (value >> 31);
}

__global__ void __launch_bounds__(element_threads)
    checksum_kernel(std::size_t count, const std::uint32_t* bits, std::uint64_t* result) {
  std::uint64_t sum = 0;
  for (std::size_t i = thread_number(); i < count; i += static_cast<std::size_t>(gridDim.x) * blockDim.x)
    sum += mix(i + 1, bits[i]);
  sum = block_sum(sum);
  if (threadIdx.x == 0) result[1 + blockIdx.x] = sum;
}
ULTRAMARINE_KERNEL(checksum_kernel);

__global__ void checksum_end_kernel(int partial_sums, std::uint64_t* result) {
  std::uint64_t sum = 0;
  for (int i = 0; i < partial_sums; ++i) sum += result[1 + i];
  result[0] = sum;
}
ULTRAMARINE_KERNEL(checksum_end_kernel);

static std::size_t partial_sums_for(std::size_t count) {
  return std::min(partial_sums_max, (count + elements_per_block - 1) / elements_per_block + (count == 0 ? 1 : 0));
}

cudaError_t add_up(std::size_t count, const float* values, float* sum, cudaStream_t stream) {
  return launch(add_up_kernel, dim3(1), dim3(1), 0, stream, count, values, sum);
}
cudaError_t mean_of_rows(std::size_t samples, std::size_t length, const float* values, float* means,
                         cudaStream_t stream) {
  return launch(mean_of_rows_kernel, blocks_for(samples, warp_threads), dim3(warp_threads), 0, stream, samples, length,
                values, means);
}
cudaError_t sum_of_squares(std::size_t count, const float* values, double* result, cudaStream_t stream) {
  const std::size_t parts = partial_sums_for(count);
  const cudaError_t error = launch(sum_of_squares_kernel, dim3(static_cast<unsigned>(parts)), dim3(element_threads), 0,
                                   stream, count, values, result);
  return error != cudaSuccess ? error : launch(sum_of_squares_end_kernel, dim3(1), dim3(1), 0, stream, parts, result);
}
cudaError_t checksum(std::size_t count, const float* values, std::uint64_t* result, cudaStream_t stream) {
  const std::size_t parts = partial_sums_for(count);
  const cudaError_t error = launch(checksum_kernel, dim3(static_cast<unsigned>(parts)), dim3(element_threads), 0,
                                   stream, count, reinterpret_cast<const std::uint32_t*>(values), result);
  return error != cudaSuccess ? error : launch(checksum_end_kernel, dim3(1), dim3(1), 0, stream, parts, result);
}

}  // namespace ultramarine::trainer::cuda
