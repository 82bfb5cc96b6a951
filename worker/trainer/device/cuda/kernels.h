// The operations of device/operations.h as launches of kernels on a stream, float32. One .cu file per operation; simple
// and right before fast. Every addition has a fixed order and there are no atomics, so that the same call gives the
// same bits. They return the error of the launch; errors of the kernel itself come with a later call.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "worker/trainer/device/operations.h"

namespace ultramarine::trainer::cuda {

// linear.cu
cudaError_t linear_forward(std::size_t rows, std::size_t inputs, std::size_t outputs, const float* in,
                           const float* weight, const float* bias, float* out, cudaStream_t stream);
/// `scratch` has linear_scratch(...) elements, and may be null if these are 0.
cudaError_t linear_backward(std::size_t rows, std::size_t inputs, std::size_t outputs, const float* in,
                            const float* weight, const float* d_out, float* d_in, float* d_weight, float* d_bias,
                            float* scratch, cudaStream_t stream);
std::size_t linear_scratch(std::size_t rows, std::size_t inputs, std::size_t outputs);
// layer_norm.cu
cudaError_t layer_norm_forward(std::size_t rows, std::size_t width, const float* in, const float* weight,
                               const float* bias, float* out, float* mean, float* scale, cudaStream_t stream);
cudaError_t layer_norm_backward(std::size_t rows, std::size_t width, const float* in, const float* weight,
                                const float* mean, const float* scale, const float* d_out, float* d_in, float* d_weight,
                                float* d_bias, cudaStream_t stream);
// gelu.cu
cudaError_t gelu_forward(std::size_t count, const float* in, float* out, cudaStream_t stream);
cudaError_t gelu_backward(std::size_t count, const float* in, float* d, cudaStream_t stream);
// attention.cu
cudaError_t attention_forward(AttentionShape shape, const float* qkv, float* probabilities, float* out,
                              cudaStream_t stream);
/// scratch [samples, heads, length, length]
cudaError_t attention_backward(AttentionShape shape, const float* qkv, const float* probabilities, const float* d_out,
                               float* d_qkv, float* scratch, cudaStream_t stream);
// cross_entropy.cu
cudaError_t cross_entropy_forward(std::size_t rows, std::size_t classes, float* logits, const std::uint8_t* targets,
                                  float* losses, cudaStream_t stream);
cudaError_t cross_entropy_backward(std::size_t rows, std::size_t classes, float* probabilities,
                                   const std::uint8_t* targets, float weight, cudaStream_t stream);
// embedding.cu
cudaError_t embedding_forward(std::size_t samples, std::size_t length, std::size_t width, const std::uint8_t* tokens,
                              const float* token_table, const float* position_table, float* out, cudaStream_t stream);
cudaError_t embedding_backward(std::size_t samples, std::size_t length, std::size_t width, std::size_t vocabulary,
                               const std::uint8_t* tokens, const float* d_out, float* d_token_table,
                               float* d_position_table, cudaStream_t stream);
// add.cu
cudaError_t add(std::size_t count, const float* a, const float* b, float* out, cudaStream_t stream);
// adamw.cu
cudaError_t adamw(std::size_t count, AdamwStep step, const float* gradients, float* parameters, float* first_moments,
                  float* second_moments, cudaStream_t stream);
// sums.cu
cudaError_t add_up(std::size_t count, const float* values, float* sum, cudaStream_t stream);
cudaError_t mean_of_rows(std::size_t samples, std::size_t length, const float* values, float* means,
                         cudaStream_t stream);
cudaError_t sum_of_squares(std::size_t count, const float* values, double* result, cudaStream_t stream);
cudaError_t checksum(std::size_t count, const float* values, std::uint64_t* result, cudaStream_t stream);

}  // namespace ultramarine::trainer::cuda
