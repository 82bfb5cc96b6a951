// Causal attention with its softmax: a block per query (forward, and the gradients of scores and queries), a block per
// key (the gradients of keys and values).
#include "worker/trainer/device/cuda/block.h"
#include "worker/trainer/device/cuda/kernels.h"

namespace ultramarine::trainer::cuda {

/// Where block (position, head, sample) finds its data. qkv rows are [queries | keys | values], each `width` long.
struct Position {
  std::size_t at, head_width, stride;
  std::size_t qkv;            // of this head in the sample's first row
  std::size_t out;            // the same in arrays of `width`
  std::size_t probabilities;  // of this head and sample: [length, length]
};
__device__ inline Position position_of_block(std::size_t length, std::size_t heads, std::size_t width) {
  const std::size_t head = blockIdx.y, sample = blockIdx.z, head_width = width / heads;
  return {blockIdx.x,
          head_width,
          3 * width,
          sample * length * 3 * width + head * head_width,
          sample * length * width + head * head_width,
          (sample * heads + head) * length * length};
}

__device__ inline float dot(const float* a, const float* b, std::size_t count) {
  float sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

__global__ void __launch_bounds__(row_threads)
    attention_forward_kernel(std::size_t length, std::size_t heads, std::size_t width, float scale, const float* qkv,
                             float* probabilities, float* out) {
  const Position here = position_of_block(length, heads, width);
  const std::size_t t = here.at;
  const float* queries = qkv + here.qkv;
  const float* keys = queries + width;
  const float* values = keys + width;
  float* p = probabilities + here.probabilities + t * length;
  // Each thread comes back to the elements that it wrote itself, until the barrier.
  float largest = -INFINITY;
  for (std::size_t j = threadIdx.x; j <= t; j += blockDim.x) {
    p[j] = scale * dot(queries + t * here.stride, keys + j * here.stride, here.head_width);
    largest = fmaxf(largest, p[j]);
  }
  largest = block_max(largest);
  float sum = 0;
  for (std::size_t j = threadIdx.x; j <= t; j += blockDim.x) {
    p[j] = expf(p[j] - largest);
    sum += p[j];
  }
  const float factor = 1.0F / block_sum(sum);
  for (std::size_t j = threadIdx.x; j < length; j += blockDim.x) p[j] = j <= t ? p[j] * factor : 0.0F;
  __syncthreads();
  for (std::size_t i = threadIdx.x; i < here.head_width; i += blockDim.x) {
    float mixed = 0;
    for (std::size_t j = 0; j <= t; ++j) mixed += p[j] * values[j * here.stride + i];
    out[here.out + t * width + i] = mixed;
  }
}
ULTRAMARINE_KERNEL(attention_forward_kernel);

// d_score = p * (d_p - sum(d_p * p)), kept in d_scores for the keys; d_query = scale * d_scores * keys.
__global__ void __launch_bounds__(row_threads)
    attention_queries_kernel(std::size_t length, std::size_t heads, std::size_t width, float scale, const float* qkv,
                             const float* probabilities, const float* d_out, float* d_qkv, float* d_scores) {
  const Position here = position_of_block(length, heads, width);
  const std::size_t t = here.at;
  const float* keys = qkv + here.qkv + width;
  const float* values = keys + width;
  const float* p = probabilities + here.probabilities + t * length;
  const float* d = d_out + here.out + t * width;
  float* d_row = d_scores + here.probabilities + t * length;
  float sum = 0;
  for (std::size_t j = threadIdx.x; j <= t; j += blockDim.x) {
    d_row[j] = dot(d, values + j * here.stride, here.head_width);
    sum += d_row[j] * p[j];
  }
  sum = block_sum(sum);
  for (std::size_t j = threadIdx.x; j < length; j += blockDim.x) d_row[j] = j <= t ? p[j] * (d_row[j] - sum) : 0.0F;
  __syncthreads();
  for (std::size_t i = threadIdx.x; i < here.head_width; i += blockDim.x) {
    float d_query = 0;
    for (std::size_t j = 0; j <= t; ++j) d_query += d_row[j] * keys[j * here.stride + i];
    d_qkv[here.qkv + t * here.stride + i] = scale * d_query;
  }
}
ULTRAMARINE_KERNEL(attention_queries_kernel);

// Of key j: d_key = scale * sum over later t of d_score(t, j) * query(t); d_value = sum of p(t, j) * d_out(t).
__global__ void __launch_bounds__(row_threads)
    attention_keys_kernel(std::size_t length, std::size_t heads, std::size_t width, float scale, const float* qkv,
                          const float* probabilities, const float* d_out, const float* d_scores, float* d_qkv) {
  const Position here = position_of_block(length, heads, width);
  const std::size_t j = here.at;
  const float* queries = qkv + here.qkv;
  const float* p = probabilities + here.probabilities;
  const float* d_score = d_scores + here.probabilities;
  for (std::size_t i = threadIdx.x; i < here.head_width; i += blockDim.x) {
    float d_key = 0, d_value = 0;
    for (std::size_t t = j; t < length; ++t) {
      d_key += d_score[t * length + j] * queries[t * here.stride + i];
      d_value += p[t * length + j] * d_out[here.out + t * width + i];
    }
    float* d = d_qkv + here.qkv + j * here.stride + i;
    d[width] = scale * d_key;
    d[2 * width] = d_value;
  }
}
ULTRAMARINE_KERNEL(attention_keys_kernel);

static dim3 attention_grid(AttentionShape shape) {
  return dim3(static_cast<unsigned>(shape.length), static_cast<unsigned>(shape.heads),
              static_cast<unsigned>(shape.samples));
}
static float attention_scale(AttentionShape shape) {
  return 1.0F / sqrtf(static_cast<float>(shape.width / shape.heads));
}

cudaError_t attention_forward(AttentionShape shape, const float* qkv, float* probabilities, float* out,
                              cudaStream_t stream) {
  return launch(attention_forward_kernel, attention_grid(shape), dim3(row_threads), 0, stream, shape.length,
                shape.heads, shape.width, attention_scale(shape), qkv, probabilities, out);
}

cudaError_t attention_backward(AttentionShape shape, const float* qkv, const float* probabilities, const float* d_out,
                               float* d_qkv, float* scratch, cudaStream_t stream) {
  const cudaError_t error =
      launch(attention_queries_kernel, attention_grid(shape), dim3(row_threads), 0, stream, shape.length, shape.heads,
             shape.width, attention_scale(shape), qkv, probabilities, d_out, d_qkv, scratch);
  if (error != cudaSuccess) return error;
  return launch(attention_keys_kernel, attention_grid(shape), dim3(row_threads), 0, stream, shape.length, shape.heads,
                shape.width, attention_scale(shape), qkv, probabilities, d_out, scratch, d_qkv);
}

}  // namespace ultramarine::trainer::cuda
