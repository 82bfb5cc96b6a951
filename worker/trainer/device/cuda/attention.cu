// Causal attention: products of matrices for each head of each sample, and between them the softmax, a block per query.
#include "worker/trainer/device/cuda/block.h"
#include "worker/trainer/device/cuda/kernels.h"
#include "worker/trainer/device/cuda/multiply.h"

namespace ultramarine::trainer::cuda {

/// The row of [samples, heads, length, length] that is the block's.
__device__ inline std::size_t row_of_block() {
  return ((static_cast<std::size_t>(blockIdx.z) * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x) * gridDim.x;
}

// Scores become probabilities, in place; those of later positions become 0.
__global__ void __launch_bounds__(row_threads) attention_softmax_kernel(std::size_t length, float* scores) {
  const std::size_t t = blockIdx.x;
  float* p = scores + row_of_block();
  // Each thread comes back to the elements that it wrote itself.
  float largest = -INFINITY;
  for (std::size_t j = threadIdx.x; j <= t; j += blockDim.x) largest = fmaxf(largest, p[j]);
  largest = block_max(largest);
  float sum = 0;
  for (std::size_t j = threadIdx.x; j <= t; j += blockDim.x) {
    p[j] = expf(p[j] - largest);
    sum += p[j];
  }
  const float factor = 1.0F / block_sum(sum);
  for (std::size_t j = threadIdx.x; j < length; j += blockDim.x) p[j] = j <= t ? p[j] * factor : 0.0F;
}
ULTRAMARINE_KERNEL(attention_softmax_kernel);

// The gradients of probabilities become those of scores, in place: p * (d_p - sum(d_p * p)).
__global__ void __launch_bounds__(row_threads)
    attention_scores_kernel(std::size_t length, const float* probabilities, float* gradients) {
  const std::size_t t = blockIdx.x;
  const float* p = probabilities + row_of_block();
  float* d = gradients + row_of_block();
  float sum = 0;
  for (std::size_t j = threadIdx.x; j <= t; j += blockDim.x) sum += d[j] * p[j];
  sum = block_sum(sum);
  for (std::size_t j = threadIdx.x; j < length; j += blockDim.x) d[j] = j <= t ? p[j] * (d[j] - sum) : 0.0F;
}
ULTRAMARINE_KERNEL(attention_scores_kernel);

static dim3 attention_grid(AttentionShape shape) {
  return dim3(static_cast<unsigned>(shape.length), static_cast<unsigned>(shape.heads),
              static_cast<unsigned>(shape.samples));
}

/// How the matrices of a head lie. qkv rows are [queries | keys | values], each `width` long.
struct Lie {
  std::size_t row, column, sample, head;
};
static Lie in_qkv(AttentionShape shape) {
  return {3 * shape.width, 1, shape.length * 3 * shape.width, shape.width / shape.heads};
}
static Lie in_out(AttentionShape shape) {
  return {shape.width, 1, shape.length * shape.width, shape.width / shape.heads};
}
static Lie in_scores(AttentionShape shape) {
  return {shape.length, 1, shape.heads * shape.length * shape.length, shape.length * shape.length};
}
static Lie transposed(Lie lie) { return {lie.column, lie.row, lie.sample, lie.head}; }

/// Between a head's [length, columns] = [length, depth] x [depth, columns].
static Product product_of_heads(AttentionShape shape, std::size_t columns, std::size_t depth, Lie a, Lie b, Lie out,
                                float scale = 1) {
  return {.rows = shape.length,
          .columns = columns,
          .depth = depth,
          .a_row = a.row,
          .a_column = a.column,
          .b_row = b.row,
          .b_column = b.column,
          .out_row = out.row,
          .scale = scale,
          .samples = shape.samples,
          .heads = shape.heads,
          .a_sample = a.sample,
          .a_head = a.head,
          .b_sample = b.sample,
          .b_head = b.head,
          .out_sample = out.sample,
          .out_head = out.head};
}

static float attention_scale(AttentionShape shape) {
  return 1.0F / sqrtf(static_cast<float>(shape.width / shape.heads));
}

cudaError_t attention_forward(AttentionShape shape, const float* qkv, float* probabilities, float* out,
                              cudaStream_t stream) {
  const std::size_t length = shape.length, head_width = shape.width / shape.heads;
  const Lie rows = in_qkv(shape), scores = in_scores(shape);
  cudaError_t error =
      multiply(product_of_heads(shape, length, head_width, rows, transposed(rows), scores, attention_scale(shape)), qkv,
               qkv + shape.width, nullptr, probabilities, nullptr, stream);
  if (error == cudaSuccess) {
    error =
        launch(attention_softmax_kernel, attention_grid(shape), dim3(row_threads), 0, stream, length, probabilities);
  }
  if (error != cudaSuccess) return error;
  return multiply(product_of_heads(shape, head_width, length, scores, rows, in_out(shape)), probabilities,
                  qkv + 2 * shape.width, nullptr, out, nullptr, stream);
}

cudaError_t attention_backward(AttentionShape shape, const float* qkv, const float* probabilities, const float* d_out,
                               float* d_qkv, float* scratch, cudaStream_t stream) {
  const std::size_t length = shape.length, head_width = shape.width / shape.heads, width = shape.width;
  const Lie rows = in_qkv(shape), scores = in_scores(shape), d_rows = in_out(shape);
  const float scale = attention_scale(shape);
  const float *queries = qkv, *keys = qkv + width, *values = qkv + 2 * width;
  float *d_queries = d_qkv, *d_keys = d_qkv + width, *d_values = d_qkv + 2 * width;
  // Values, probabilities, scores, queries, keys.
  cudaError_t error = multiply(product_of_heads(shape, head_width, length, transposed(scores), d_rows, rows),
                               probabilities, d_out, nullptr, d_values, nullptr, stream);
  if (error == cudaSuccess) {
    error = multiply(product_of_heads(shape, length, head_width, d_rows, transposed(rows), scores), d_out, values,
                     nullptr, scratch, nullptr, stream);
  }
  if (error == cudaSuccess) {
    error = launch(attention_scores_kernel, attention_grid(shape), dim3(row_threads), 0, stream, length, probabilities,
                   scratch);
  }
  if (error == cudaSuccess) {
    error = multiply(product_of_heads(shape, head_width, length, scores, rows, rows, scale), scratch, keys, nullptr,
                     d_queries, nullptr, stream);
  }
  if (error != cudaSuccess) return error;
  return multiply(product_of_heads(shape, head_width, length, transposed(scores), rows, rows, scale), scratch, queries,
                  nullptr, d_keys, nullptr, stream);
}

}  // namespace ultramarine::trainer::cuda
