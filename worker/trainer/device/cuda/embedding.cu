// Embeddings of tokens and positions. The gradient of a token's row gathers from the places where the token stands, in
// their order: a block per token of the vocabulary, no atomics.
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

__global__ void embedding_tokens_kernel(std::size_t rows, std::size_t width, const std::uint8_t* tokens,
                                        const float* d_out, float* d_token_table) {
  const std::size_t token = blockIdx.x;
  for (std::size_t column = threadIdx.x; column < width; column += blockDim.x) {
    float sum = 0;
    for (std::size_t row = 0; row < rows; ++row) {
      if (tokens[row] == token) sum += d_out[row * width + column];
    }
    d_token_table[token * width + column] += sum;
  }
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
  const cudaError_t error =
      launch(embedding_tokens_kernel, dim3(static_cast<unsigned>(vocabulary)), dim3(token_threads), 0, stream,
             samples * length, width, tokens, d_out, d_token_table);
  if (error != cudaSuccess) return error;
  return launch(embedding_positions_kernel, blocks_for(length * width), dim3(element_threads), 0, stream, samples,
                length * width, d_out, d_position_table);
}

}  // namespace ultramarine::trainer::cuda
