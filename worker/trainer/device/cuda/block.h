// What several kernels share: launch shapes, and reductions over the threads of a block in a fixed order.
#pragma once

#include "worker/trainer/device/cuda/kernel.h"

namespace ultramarine::trainer::cuda {

constexpr int warp_threads = 32;
constexpr int element_threads = 256;  // of a block whose threads take an element each
constexpr int row_threads = 64;       // of a block that takes a row

inline dim3 blocks_for(std::size_t count, int threads = element_threads) {
  return dim3(
      static_cast<unsigned>((count + static_cast<std::size_t>(threads) - 1) / static_cast<std::size_t>(threads)));
}

/// The number of this thread among all of the grid.
__device__ inline std::size_t thread_number() {
  return static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

/// combine(...) of all threads' values, on every thread of the block. The block is whole warps; all its threads call
/// this.
template <class T, class Combine>
__device__ inline T block_reduce(T value, Combine combine) {
  __shared__ T of_warps[32];
  const int thread = static_cast<int>(threadIdx.x), warps = static_cast<int>(blockDim.x) / warp_threads;
  for (int distance = warp_threads / 2; distance > 0; distance /= 2)
    value = combine(value, __shfl_down_sync(~0U, value, distance));
  if (thread % warp_threads == 0) of_warps[thread / warp_threads] = value;
  __syncthreads();
  T result = of_warps[0];
  for (int warp = 1; warp < warps; ++warp) result = combine(result, of_warps[warp]);
  __syncthreads();  // of_warps may be used again at once
  return result;
}
struct Plus {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Larger {
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};
template <class T>
__device__ inline T block_sum(T value) {
  return block_reduce(value, Plus{});
}
__device__ inline float block_max(float value) { return block_reduce(value, Larger{}); }

// Sums over the columns of a matrix: a block takes a few neighbouring columns (32 bytes of each row), and its lanes
// take the rows in turn.
constexpr int column_lanes = 64, columns_of_block = 8, column_threads = column_lanes * columns_of_block;

inline dim3 column_blocks_for(std::size_t columns) { return blocks_for(columns, columns_of_block); }

struct ColumnPlace {
  std::size_t column = static_cast<std::size_t>(blockIdx.x) * columns_of_block + threadIdx.x % columns_of_block;
  std::size_t lane = threadIdx.x / columns_of_block;
};

/// The sum of a column over its lanes, in their order; for lane 0 alone. All threads of the block call this.
__device__ inline float sum_of_lanes(float value) {
  __shared__ float of_lanes[column_lanes][columns_of_block];
  const int lane = static_cast<int>(threadIdx.x) / columns_of_block,
            column = static_cast<int>(threadIdx.x) % columns_of_block;
  of_lanes[lane][column] = value;
  __syncthreads();
  float sum = 0;
  for (int i = 0; i < column_lanes && lane == 0; ++i) sum += of_lanes[i][column];
  __syncthreads();  // of_lanes may be used again at once
  return sum;
}

}  // namespace ultramarine::trainer::cuda
