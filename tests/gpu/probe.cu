// See probe.h. Compiled by nvcc for a GPU, and by the ordinary compiler for the emulation.
#include "tests/gpu/probe.h"

#include "worker/trainer/device/cuda/kernel.h"

namespace ultramarine::probe {

using trainer::cuda::launch;

constexpr int block_threads = 256;

__global__ void probe_fill_kernel(float* values, int count, float start) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) values[i] = start + static_cast<float>(i);
}
ULTRAMARINE_KERNEL(probe_fill_kernel);

__global__ void probe_block_sum_kernel(const float* values, int count, float* sum) {
  __shared__ float of_warps[32];
  ULTRAMARINE_DYNAMIC_SHARED(float, all);
  const int thread = static_cast<int>(threadIdx.x);
  all[thread] = 0;
  for (int i = thread; i < count; i += static_cast<int>(blockDim.x)) all[thread] += values[i];
  __syncthreads();
  float own = all[thread ^ 1];  // the neighbour's: each is still taken once
  for (int distance = 16; distance > 0; distance /= 2) own += __shfl_down_sync(~0U, own, distance);
  if (thread % 32 == 0) of_warps[thread / 32] = own;
  __syncthreads();
  if (thread == 0) {
    float total = 0;
    for (int i = 0; i < static_cast<int>(blockDim.x) / 32; ++i) total += of_warps[i];
    *sum = total;
  }
}
ULTRAMARINE_KERNEL(probe_block_sum_kernel);

__global__ void probe_odd_lanes_kernel(const float* values, unsigned* bits) {
  const unsigned odd = __ballot_sync(~0U, static_cast<int>(values[threadIdx.x]) % 2);
  __syncwarp();
  if (threadIdx.x == 0) bits[0] = odd;
}
ULTRAMARINE_KERNEL(probe_odd_lanes_kernel);

__global__ void probe_without_barrier_kernel(const float* values, float* out) {
  __shared__ float kept[block_threads];
  kept[threadIdx.x] = values[threadIdx.x];
  out[threadIdx.x] = kept[(threadIdx.x + 37) % block_threads];
}
ULTRAMARINE_KERNEL(probe_without_barrier_kernel);

__global__ void probe_divergent_barrier_kernel(float* values) {
  if (threadIdx.x < 40) __syncthreads();
  __syncwarp();
  values[0] = 1;
}
ULTRAMARINE_KERNEL(probe_divergent_barrier_kernel);

__global__ void probe_two_barriers_kernel(float* values) {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  values[0] = 1;
}
ULTRAMARINE_KERNEL(probe_two_barriers_kernel);

__global__ void probe_wrong_mask_kernel(float* values) {
  values[threadIdx.x] = __shfl_xor_sync(0xffffU, values[threadIdx.x], 1);
}
ULTRAMARINE_KERNEL(probe_wrong_mask_kernel);

__global__ void probe_absent_lane_kernel(float* values) {
  if (threadIdx.x < 16) values[threadIdx.x] = __shfl_sync(0xffffU, values[threadIdx.x], 20);
}
ULTRAMARINE_KERNEL(probe_absent_lane_kernel);

cudaError_t fill(float* values, int count, float start, cudaStream_t stream) {
  return launch(probe_fill_kernel, dim3((count + block_threads - 1) / block_threads), dim3(block_threads), 0, stream,
                values, count, start);
}
cudaError_t block_sum(const float* values, int count, float* sum, cudaStream_t stream) {
  return launch(probe_block_sum_kernel, dim3(1), dim3(block_threads), block_threads * sizeof(float), stream, values,
                count, sum);
}
cudaError_t odd_lanes(const float* values, unsigned* bits, cudaStream_t stream) {
  return launch(probe_odd_lanes_kernel, dim3(1), dim3(32), 0, stream, values, bits);
}
cudaError_t too_many_threads(float* values, cudaStream_t stream) {
  return launch(probe_fill_kernel, dim3(1), dim3(2048), 0, stream, values, 0, 0.0F);
}
cudaError_t without_barrier(const float* values, float* out, cudaStream_t stream) {
  return launch(probe_without_barrier_kernel, dim3(1), dim3(block_threads), 0, stream, values, out);
}
cudaError_t divergent_barrier(float* values, cudaStream_t stream) {
  return launch(probe_divergent_barrier_kernel, dim3(1), dim3(64), 0, stream, values);
}
cudaError_t two_barriers(float* values, cudaStream_t stream) {
  return launch(probe_two_barriers_kernel, dim3(1), dim3(64), 0, stream, values);
}
cudaError_t wrong_mask(float* values, cudaStream_t stream) {
  return launch(probe_wrong_mask_kernel, dim3(1), dim3(32), 0, stream, values);
}
cudaError_t absent_lane(float* values, cudaStream_t stream) {
  return launch(probe_absent_lane_kernel, dim3(1), dim3(32), 0, stream, values);
}
cudaError_t out_of_bounds(float* values, int count, cudaStream_t stream) {
  // One element behind the array.
  return launch(probe_fill_kernel, dim3(1), dim3(static_cast<unsigned>(count) + 1), 0, stream, values, count + 1, 0.0F);
}

}  // namespace ultramarine::probe
