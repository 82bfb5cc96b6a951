// What a device can compute. Arrays are in its memory, row-major: [rows, width] has row r at r * width. `d_x` is the
// gradient of the loss with respect to x; gradients of parameters and of residual inputs are added to what is there
// (+=), all others are written. Every result is the same, bit by bit, for the same arguments on the same device:
// additions have a fixed order.
#pragma once

#include <cstddef>
#include <cstdint>

#include "worker/trainer/device/device.h"

namespace ultramarine::trainer {

/// Causal attention of `heads` heads over `samples` sequences.
struct AttentionShape {
  std::size_t samples, length, heads, width;
};

/// Forward and backward of a model's operations.
template <class Real>
class ModelOperations {
 public:
  virtual ~ModelOperations() = default;

  /// out[rows, outputs] = in[rows, inputs] * weight[outputs, inputs]^T + bias[outputs]; no bias if null.
  virtual void linear_forward(Stream& stream, std::size_t rows, std::size_t inputs, std::size_t outputs, const Real* in,
                              const Real* weight, const Real* bias, Real* out) const = 0;
  /// d_in is written, d_weight and d_bias (if not null) are added to.
  virtual void linear_backward(Stream& stream, std::size_t rows, std::size_t inputs, std::size_t outputs,
                               const Real* in, const Real* weight, const Real* d_out, Real* d_in, Real* d_weight,
                               Real* d_bias) const = 0;

  /// out = (in - mean) / sqrt(variance + 1e-5) * weight + bias over each row; keeps mean and 1 / sqrt(...) [rows].
  virtual void layer_norm_forward(Stream& stream, std::size_t rows, std::size_t width, const Real* in,
                                  const Real* weight, const Real* bias, Real* out, Real* mean, Real* scale) const = 0;
  /// d_in += ...
  virtual void layer_norm_backward(Stream& stream, std::size_t rows, std::size_t width, const Real* in,
                                   const Real* weight, const Real* mean, const Real* scale, const Real* d_out,
                                   Real* d_in, Real* d_weight, Real* d_bias) const = 0;

  /// GELU in its tanh form (Hendrycks & Gimpel 2016): x / (1 + exp(-2 u)), u = sqrt(2/pi) (x + 0.044715 x^3).
  virtual void gelu_forward(Stream& stream, std::size_t count, const Real* in, Real* out) const = 0;
  /// d becomes d * gelu'(in), in place.
  virtual void gelu_backward(Stream& stream, std::size_t count, const Real* in, Real* d) const = 0;

  /// qkv [samples, length, 3 width] holds queries, keys, values side by side; probabilities [samples, heads, length,
  /// length] are kept for backward; out [samples, length, width].
  virtual void attention_forward(Stream& stream, AttentionShape shape, const Real* qkv, Real* probabilities,
                                 Real* out) const = 0;
  /// `scratch` has attention_scratch(shape) elements. d_qkv is written.
  virtual void attention_backward(Stream& stream, AttentionShape shape, const Real* qkv, const Real* probabilities,
                                  const Real* d_out, Real* d_qkv, Real* scratch) const = 0;
  virtual std::size_t attention_scratch(AttentionShape shape) const = 0;

  /// logits[rows, classes] -> probabilities in place; losses[rows] = -ln(probability of the target).
  virtual void cross_entropy_forward(Stream& stream, std::size_t rows, std::size_t classes, Real* logits,
                                     const std::uint8_t* targets, Real* losses) const = 0;
  /// probabilities -> gradient of `weight` times the sum of losses with respect to the logits, in place.
  virtual void cross_entropy_backward(Stream& stream, std::size_t rows, std::size_t classes, Real* probabilities,
                                      const std::uint8_t* targets, Real weight) const = 0;
  /// means[samples] of values[samples, length]
  virtual void mean_of_rows(Stream& stream, std::size_t samples, std::size_t length, const Real* values,
                            Real* means) const = 0;

  /// out[samples, length, width] = token_table[token] + position_table[position]
  virtual void embedding_forward(Stream& stream, std::size_t samples, std::size_t length, std::size_t width,
                                 const std::uint8_t* tokens, const Real* token_table, const Real* position_table,
                                 Real* out) const = 0;
  /// token_table has `vocabulary` rows.
  virtual void embedding_backward(Stream& stream, std::size_t samples, std::size_t length, std::size_t width,
                                  std::size_t vocabulary, const std::uint8_t* tokens, const Real* d_out,
                                  Real* d_token_table, Real* d_position_table) const = 0;

  /// out = a + b
  virtual void add(Stream& stream, std::size_t count, const Real* a, const Real* b, Real* out) const = 0;
};

/// The numbers of one AdamW step that are the same for all elements of a tensor.
struct AdamwStep {
  float beta_1, beta_2, epsilon;
  float gradient_scale;     // multiplies every gradient on the way in
  float rate;               // learning rate over the first moment's bias correction
  float second_correction;  // 1 / (1 - beta_2^step)
  float keep = 1;           // 1 - learning rate x decay
};

/// What the optimizer and the checks of a training run need.
class TrainingOperations {
 public:
  virtual ~TrainingOperations() = default;

  /// Elements that the `result` of the two sums must have room for; the first is the result, the others are scratch.
  static constexpr std::size_t sum_scratch = 257;

  /// *sum += values[0] + values[1] + ..., in this order.
  virtual void add_up(Stream& stream, std::size_t count, const float* values, float* sum) const = 0;
  /// result[0] = sum of squares, in double.
  virtual void sum_of_squares(Stream& stream, std::size_t count, const float* values, double* result) const = 0;
  /// result[0]: 64 bits that differ (but for chance) when any bit of `values` differs. Another function on each kind of
  /// device.
  virtual void checksum(Stream& stream, std::size_t count, const float* values, std::uint64_t* result) const = 0;
  /// m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; w = keep w - rate m / (sqrt(v second_correction) + epsilon)
  virtual void adamw(Stream& stream, std::size_t count, AdamwStep step, const float* gradients, float* parameters,
                     float* first_moments, float* second_moments) const = 0;
};

}  // namespace ultramarine::trainer
