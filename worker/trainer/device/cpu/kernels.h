// The operations of device/operations.h on the CPU, for float (training) and double (checking gradients). Arrays are
// row-major: [rows, width] has row r at r * width. `d_x` is the gradient of the loss with respect to x; gradients of
// parameters and of residual inputs are added to what is there (+=), all others are written. Nothing here allocates.
#pragma once

#include <cstddef>
#include <cstdint>

#include "worker/trainer/device/operations.h"

namespace ultramarine::trainer {

enum class Transposed { no, yes };

/// c[m, n] = alpha * a[m, k] * b[k, n] + beta * c, through BLAS; `stride` is the distance between rows as stored.
void multiply(Transposed a_transposed, Transposed b_transposed, int m, int n, int k, float alpha, const float* a,
              int a_stride, const float* b, int b_stride, float beta, float* c, int c_stride);
void multiply(Transposed a_transposed, Transposed b_transposed, int m, int n, int k, double alpha, const double* a,
              int a_stride, const double* b, int b_stride, double beta, double* c, int c_stride);

/// out[rows, outputs] = in[rows, inputs] * weight[outputs, inputs]^T + bias[outputs]; no bias, and no d_bias, if null.
template <class Real>
void linear_forward(std::size_t rows, std::size_t inputs, std::size_t outputs, const Real* in, const Real* weight,
                    const Real* bias, Real* out);
template <class Real>
void linear_backward(std::size_t rows, std::size_t inputs, std::size_t outputs, const Real* in, const Real* weight,
                     const Real* d_out, Real* d_in, Real* d_weight, Real* d_bias);

/// out = (in - mean) / sqrt(variance + 1e-5) * weight + bias over each row; keeps mean and 1 / sqrt(...) [rows] for
/// backward.
void layer_norm_forward(std::size_t rows, std::size_t width, const float* in, const float* weight, const float* bias,
                        float* out, float* mean, float* scale);
void layer_norm_forward(std::size_t rows, std::size_t width, const double* in, const double* weight, const double* bias,
                        double* out, double* mean, double* scale);
/// d_in += ...
void layer_norm_backward(std::size_t rows, std::size_t width, const float* in, const float* weight, const float* mean,
                         const float* scale, const float* d_out, float* d_in, float* d_weight, float* d_bias);
void layer_norm_backward(std::size_t rows, std::size_t width, const double* in, const double* weight,
                         const double* mean, const double* scale, const double* d_out, double* d_in, double* d_weight,
                         double* d_bias);

/// GELU in its tanh form (Hendrycks & Gimpel 2016, as in GPT-2): x / (1 + exp(-2 u)), u = sqrt(2/pi) (x + 0.044715
/// x^3).
void gelu_forward(std::size_t count, const float* in, float* out);
void gelu_forward(std::size_t count, const double* in, double* out);
/// d becomes d * gelu'(in), in place.
void gelu_backward(std::size_t count, const float* in, float* d);
void gelu_backward(std::size_t count, const double* in, double* d);

/// scores[length, length] -> probabilities in place: row t is the softmax of its first t + 1 elements, the rest 0.
void causal_softmax_forward(std::size_t length, float* scores);
void causal_softmax_forward(std::size_t length, double* scores);
/// d [length, length]: gradient of the probabilities in, of the scores out, in place.
void causal_softmax_backward(std::size_t length, const float* probabilities, float* d);
void causal_softmax_backward(std::size_t length, const double* probabilities, double* d);

/// Causal attention of `heads` heads over `samples` sequences. qkv [samples, length, 3 width] holds queries, keys,
/// values side by side; probabilities [samples, heads, length, length] are kept for backward; out [samples, length,
/// width].
template <class Real>
void attention_forward(AttentionShape shape, const Real* qkv, Real* probabilities, Real* out);
/// `scratch` [length, length]. d_qkv is written.
template <class Real>
void attention_backward(AttentionShape shape, const Real* qkv, const Real* probabilities, const Real* d_out,
                        Real* d_qkv, Real* scratch);

/// logits[rows, classes] -> probabilities in place; losses[rows] = -ln(probability of the target).
void cross_entropy_forward(std::size_t rows, std::size_t classes, float* logits, const std::uint8_t* targets,
                           float* losses);
void cross_entropy_forward(std::size_t rows, std::size_t classes, double* logits, const std::uint8_t* targets,
                           double* losses);
/// probabilities -> gradient of `weight` times the sum of losses with respect to the logits, in place.
template <class Real>
void cross_entropy_backward(std::size_t rows, std::size_t classes, Real* probabilities, const std::uint8_t* targets,
                            Real weight);

/// means[samples] of values[samples, length]
template <class Real>
void mean_of_rows(std::size_t samples, std::size_t length, const Real* values, Real* means);

/// out[samples, length, width] = token_table[token] + position_table[position]
template <class Real>
void embedding_forward(std::size_t samples, std::size_t length, std::size_t width, const std::uint8_t* tokens,
                       const Real* token_table, const Real* position_table, Real* out);
template <class Real>
void embedding_backward(std::size_t samples, std::size_t length, std::size_t width, const std::uint8_t* tokens,
                        const Real* d_out, Real* d_token_table, Real* d_position_table);

/// out = a + b
template <class Real>
void add(std::size_t count, const Real* a, const Real* b, Real* out);

/// How many threads BLAS uses in one call.
void set_compute_threads(int threads);

}  // namespace ultramarine::trainer
