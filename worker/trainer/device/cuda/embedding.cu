// Embeddings of tokens and positions. The gradient of a token's row gathers from the places where the token stands, in
// their order: blocks for each token of the vocabulary, no atomics.
#include "worker/trainer/device/cuda/block.h"
#include "worker/trainer/device/cuda/kernels.h"

namespace ultramarine::trainer::cuda {

constexpr int token_threads = 64;

__global__ void embedding_forward_kernel(std::size_t count, std::size_t length, std::size_t width,
                                         const std::uint8_t* tokens, const float* token_table,
                                         const float* position_table, float* out) {
  const std::size_t i = thread_number();
  if (i >= count) return;
  const std::size_t row = i / width, column = i % width;
  out[i] = token_table[tokens[row] * width + column] + position_table[row % length * width + column];
}
ULTRAMARINE_KERNEL(embedding_forward_kernel);

__global__ void __launch_bounds__(token_threads)
    embedding_tokens_kernel(std::size_t rows, std::size_t width, const std::uint8_t* tokens, const float* d_out,
                            float* d_token_table) {
  constexpr int warps = token_threads / warp_threads;
  __shared__ unsigned places[warps];  // a bit for each row: where the token stands
  const std::size_t token = blockIdx.x, column = static_cast<std::size_t>(blockIdx.y) * token_threads + threadIdx.x;
  float sum = 0;
  for (std::size_t begin = 0; begin < rows; begin += token_threads) {
    const std::size_t own = begin + threadIdx.x;
    const unsigned stands = __ballot_sync(~0U, own < rows && tokens[own] == token ? 1 : 0);
    if (threadIdx.x % warp_threads == 0) places[threadIdx.x / warp_threads] = stands;
    __syncthreads();
    for (int warp = 0; warp < warps; ++warp) {
      std::size_t row = begin + static_cast<std::size_t>(warp) * warp_threads;
      for (unsigned rest = places[warp]; rest != 0; rest >>= 1, ++row) {
        if (rest % 2 == 1 && column < width) sum += d_out[row * width + column];
      }
    }
    __syncthreads();
  }
  if (column < width) d_token_table[token * width + column] += sum;
}
ULTRAMARINE_KERNEL(embedding_tokens_kernel);

__global__ void embedding_positions_kernel(std::size_t samples, std::size_t count, const float* d_out,
                                           float* d_position_table) {
  const std::size_t i = thread_number();
  if (i >= count) return;  // count = length * width
  float sum = 0;
  for (std::size_t sample = 0; sample < samples; ++sample) sum += d_out[sample * count + i];
  d_position_table[i] += sum;
}
ULTRAMARINE_KERNEL(embedding_positions_kernel);

cudaError_t embedding_forward(std::size_t samples, std::size_t length, std::size_t width, const std::uint8_t* tokens,
                              const float* token_table, const float* position_table, float* out, cudaStream_t stream) {
  const std::size_t count = samples * length * width;
  return launch(embedding_forward_kernel, blocks_for(count), dim3(element_threads), 0, stream, count, length, width,
                tokens, token_table, position_table, out);
}

cudaError_t embedding_backward(std::size_t samples, std::size_t length, std::size_t width, std::size_t vocabulary,
                               const std::uint8_t* tokens, const float* d_out, float* d_token_table,
                               float* d_position_table, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(vocabulary), blocks_for(width, token_threads).x);
  const cudaError_t error = launch(embedding_tokens_kernel, grid, dim3(token_threads), 0, stream, samples * length,
                                   width, tokens, d_out, d_token_table);
  if (error != cudaSuccess) return error;
  return launch(embedding_positions_kernel, blocks_for(length * width), dim3(element_threads), 0, stream, samples,
                length * width, d_out, d_position_table);
}

}  // namespace ultramarine::trainer::cuda
