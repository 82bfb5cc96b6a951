// Elementwise and rowwise work as simple loops that the compiler turns into vector code, once per instruction set;
// matrix products by OpenBLAS. Only values that are later reduced over ranks are computed here, so ranks on different
// CPUs may round differently; what every rank computes for itself from reduced values is in optimizer.cpp, the same on
// every CPU.
#include "worker/trainer/device/cpu/kernels.h"

#include <cblas.h>

#include <algorithm>
#include <bit>
#include <cmath>

// Sanitizers' runtimes start too late for the resolvers of cloned functions; clang clones no overloads.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define ULTRAMARINE_EVERY_CPU __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define ULTRAMARINE_EVERY_CPU
#endif
#define ULTRAMARINE_INLINE [[gnu::always_inline]] inline

namespace ultramarine::trainer {
namespace {

/// e^x with a relative error below 2e-7 for float, as straight arithmetic that vectorises: 2^n * p(r), |r| <= ln(2)/2
/// (coefficients of Cephes' expf). Saturates beyond +-87.
ULTRAMARINE_INLINE float exponential(float x) {
  x = std::min(std::max(x, -87.0F), 87.0F);
  constexpr float round_bias = 12582912.0F;  // 1.5 * 2^23: adding and subtracting rounds to the nearest whole number
  // Of a number that is none std::max gives the first: n is whole all the same, and r is none.
  const float n = (std::max(-87.0F, x) * 1.44269504F + round_bias) - round_bias;
  const float r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  return p * std::bit_cast<float>((static_cast<std::int32_t>(n) + 127) << 23);
}
ULTRAMARINE_INLINE double exponential(double x) { return std::exp(x); }

template <class Real>
constexpr Real gelu_scale = Real(0.7978845608028654);  // sqrt(2/pi)
template <class Real>
constexpr Real gelu_cubic = Real(0.044715);

template <class Real>
ULTRAMARINE_INLINE void add_bias(std::size_t rows, std::size_t width, const Real* bias, Real* out) {
  for (std::size_t r = 0; r < rows; ++r) {
    Real* row = out + r * width;
#pragma omp simd
    for (std::size_t i = 0; i < width; ++i) row[i] += bias[i];
  }
}

template <class Real>
ULTRAMARINE_INLINE void add_rows(std::size_t rows, std::size_t width, const Real* in, Real* sum) {
  for (std::size_t r = 0; r < rows; ++r) {
    const Real* row = in + r * width;
#pragma omp simd
    for (std::size_t i = 0; i < width; ++i) sum[i] += row[i];
  }
}

template <class Real>
ULTRAMARINE_INLINE void norm_forward(std::size_t rows, std::size_t width, const Real* in, const Real* weight,
                                     const Real* bias, Real* out, Real* means, Real* scales) {
  for (std::size_t r = 0; r < rows; ++r) {
    const Real* x = in + r * width;
    Real* y = out + r * width;
    Real sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::size_t i = 0; i < width; ++i) sum += x[i];
    const Real mean = sum / static_cast<Real>(width);
    Real squares = 0;
#pragma omp simd reduction(+ : squares)
    for (std::size_t i = 0; i < width; ++i) squares += (x[i] - mean) * (x[i] - mean);
    const Real scale = Real(1) / std::sqrt(squares / static_cast<Real>(width) + Real(1e-5));
#pragma omp simd
    for (std::size_t i = 0; i < width; ++i) y[i] = (x[i] - mean) * scale * weight[i] + bias[i];
    means[r] = mean;
    scales[r] = scale;
  }
}

// With n = (x - mean) * scale and g = d_out * weight: d_x = scale * (g - mean(g) - n * mean(g * n)).
template <class Real>
ULTRAMARINE_INLINE void norm_backward(std::size_t rows, std::size_t width, const Real* in, const Real* weight,
                                      const Real* means, const Real* scales, const Real* d_out, Real* d_in,
                                      Real* d_weight, Real* d_bias) {
  for (std::size_t r = 0; r < rows; ++r) {
    const Real* x = in + r * width;
    const Real* d_y = d_out + r * width;
    Real* d_x = d_in + r * width;
    const Real mean = means[r];
    const Real scale = scales[r];
    Real g_sum = 0;
    Real gn_sum = 0;
#pragma omp simd reduction(+ : g_sum, gn_sum)
    for (std::size_t i = 0; i < width; ++i) {
      const Real g = d_y[i] * weight[i];
      g_sum += g;
      gn_sum += g * (x[i] - mean) * scale;
    }
    const Real g_mean = g_sum / static_cast<Real>(width);
    const Real gn_mean = gn_sum / static_cast<Real>(width);
#pragma omp simd
    for (std::size_t i = 0; i < width; ++i) {
      const Real n = (x[i] - mean) * scale;
      d_weight[i] += d_y[i] * n;
      d_bias[i] += d_y[i];
      d_x[i] += scale * (d_y[i] * weight[i] - g_mean - n * gn_mean);
    }
  }
}

template <class Real>
ULTRAMARINE_INLINE void gelu(std::size_t count, const Real* in, Real* out) {
#pragma omp simd
  for (std::size_t i = 0; i < count; ++i) {
    const Real x = in[i];
    const Real u = gelu_scale<Real> * (x + gelu_cubic<Real> * x * x * x);
    out[i] = x / (Real(1) + exponential(Real(-2) * u));
  }
}

template <class Real>
ULTRAMARINE_INLINE void gelu_gradient(std::size_t count, const Real* in, Real* d) {
#pragma omp simd
  for (std::size_t i = 0; i < count; ++i) {
    const Real x = in[i];
    const Real u = gelu_scale<Real> * (x + gelu_cubic<Real> * x * x * x);
    const Real slope = gelu_scale<Real> * (Real(1) + Real(3) * gelu_cubic<Real> * x * x);
    const Real s = Real(1) / (Real(1) + exponential(Real(-2) * u));
    d[i] *= s + x * s * (Real(1) - s) * Real(2) * slope;
  }
}

/// Softmax of `count` numbers in place; returns max + ln(sum(exp(x - max))).
template <class Real>
ULTRAMARINE_INLINE Real softmax(std::size_t count, Real* x) {
  Real largest = x[0];
#pragma omp simd reduction(max : largest)
  for (std::size_t i = 0; i < count; ++i) largest = std::max(largest, x[i]);
  Real sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::size_t i = 0; i < count; ++i) {
    const Real e = exponential(x[i] - largest);
    x[i] = e;
    sum += e;
  }
  const Real factor = Real(1) / sum;
#pragma omp simd
  for (std::size_t i = 0; i < count; ++i) x[i] *= factor;
  return largest + std::log(sum);
}

template <class Real>
ULTRAMARINE_INLINE void causal_softmax(std::size_t length, Real* scores) {
  for (std::size_t t = 0; t < length; ++t) {
    Real* row = scores + t * length;
    softmax(t + 1, row);
    for (std::size_t i = t + 1; i < length; ++i) row[i] = 0;
  }
}

// d_score = p * (d_p - sum(d_p * p)); p is 0 above the diagonal, and so is the result.
template <class Real>
ULTRAMARINE_INLINE void causal_softmax_gradient(std::size_t length, const Real* probabilities, Real* d) {
  for (std::size_t t = 0; t < length; ++t) {
    const Real* p = probabilities + t * length;
    Real* d_row = d + t * length;
    Real sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::size_t i = 0; i <= t; ++i) sum += d_row[i] * p[i];
#pragma omp simd
    for (std::size_t i = 0; i < length; ++i) d_row[i] = p[i] * (d_row[i] - sum);
  }
}

template <class Real>
ULTRAMARINE_INLINE void cross_entropy(std::size_t rows, std::size_t classes, Real* logits, const std::uint8_t* targets,
                                      Real* losses) {
  for (std::size_t r = 0; r < rows; ++r) {
    Real* row = logits + r * classes;
    const Real at_target = row[targets[r]];
    losses[r] = softmax(classes, row) - at_target;
  }
}

ULTRAMARINE_EVERY_CPU void bias_forward(std::size_t rows, std::size_t width, const float* bias, float* out) {
  add_bias(rows, width, bias, out);
}
void bias_forward(std::size_t rows, std::size_t width, const double* bias, double* out) {
  add_bias(rows, width, bias, out);
}
ULTRAMARINE_EVERY_CPU void bias_backward(std::size_t rows, std::size_t width, const float* d_out, float* d_bias) {
  add_rows(rows, width, d_out, d_bias);
}
void bias_backward(std::size_t rows, std::size_t width, const double* d_out, double* d_bias) {
  add_rows(rows, width, d_out, d_bias);
}

constexpr CBLAS_TRANSPOSE blas(Transposed transposed) {
  return transposed == Transposed::yes ? CblasTrans : CblasNoTrans;
}
constexpr int narrow(std::size_t value) { return static_cast<int>(value); }

}  // namespace

void multiply(Transposed a_transposed, Transposed b_transposed, int m, int n, int k, float alpha, const float* a,
              int a_stride, const float* b, int b_stride, float beta, float* c, int c_stride) {
  cblas_sgemm(CblasRowMajor, blas(a_transposed), blas(b_transposed), m, n, k, alpha, a, a_stride, b, b_stride, beta, c,
              c_stride);
}
void multiply(Transposed a_transposed, Transposed b_transposed, int m, int n, int k, double alpha, const double* a,
              int a_stride, const double* b, int b_stride, double beta, double* c, int c_stride) {
  cblas_dgemm(CblasRowMajor, blas(a_transposed), blas(b_transposed), m, n, k, alpha, a, a_stride, b, b_stride, beta, c,
              c_stride);
}

template <class Real>
void linear_forward(std::size_t rows, std::size_t inputs, std::size_t outputs, const Real* in, const Real* weight,
                    const Real* bias, Real* out) {
  multiply(Transposed::no, Transposed::yes, narrow(rows), narrow(outputs), narrow(inputs), Real(1), in, narrow(inputs),
           weight, narrow(inputs), Real(0), out, narrow(outputs));
  if (bias) bias_forward(rows, outputs, bias, out);
}

template <class Real>
void linear_backward(std::size_t rows, std::size_t inputs, std::size_t outputs, const Real* in, const Real* weight,
                     const Real* d_out, Real* d_in, Real* d_weight, Real* d_bias) {
  multiply(Transposed::no, Transposed::no, narrow(rows), narrow(inputs), narrow(outputs), Real(1), d_out,
           narrow(outputs), weight, narrow(inputs), Real(0), d_in, narrow(inputs));
  multiply(Transposed::yes, Transposed::no, narrow(outputs), narrow(inputs), narrow(rows), Real(1), d_out,
           narrow(outputs), in, narrow(inputs), Real(1), d_weight, narrow(inputs));
  if (d_bias) bias_backward(rows, outputs, d_out, d_bias);
}

ULTRAMARINE_EVERY_CPU void layer_norm_forward(std::size_t rows, std::size_t width, const float* in, const float* weight,
                                              const float* bias, float* out, float* mean, float* scale) {
  norm_forward(rows, width, in, weight, bias, out, mean, scale);
}
void layer_norm_forward(std::size_t rows, std::size_t width, const double* in, const double* weight, const double* bias,
                        double* out, double* mean, double* scale) {
  norm_forward(rows, width, in, weight, bias, out, mean, scale);
}
ULTRAMARINE_EVERY_CPU void layer_norm_backward(std::size_t rows, std::size_t width, const float* in,
                                               const float* weight, const float* mean, const float* scale,
                                               const float* d_out, float* d_in, float* d_weight, float* d_bias) {
  norm_backward(rows, width, in, weight, mean, scale, d_out, d_in, d_weight, d_bias);
}
void layer_norm_backward(std::size_t rows, std::size_t width, const double* in, const double* weight,
                         const double* mean, const double* scale, const double* d_out, double* d_in, double* d_weight,
                         double* d_bias) {
  norm_backward(rows, width, in, weight, mean, scale, d_out, d_in, d_weight, d_bias);
}

ULTRAMARINE_EVERY_CPU void gelu_forward(std::size_t count, const float* in, float* out) { gelu(count, in, out); }
void gelu_forward(std::size_t count, const double* in, double* out) { gelu(count, in, out); }
ULTRAMARINE_EVERY_CPU void gelu_backward(std::size_t count, const float* in, float* d) { gelu_gradient(count, in, d); }
void gelu_backward(std::size_t count, const double* in, double* d) { gelu_gradient(count, in, d); }

ULTRAMARINE_EVERY_CPU void causal_softmax_forward(std::size_t length, float* scores) { causal_softmax(length, scores); }
void causal_softmax_forward(std::size_t length, double* scores) { causal_softmax(length, scores); }
ULTRAMARINE_EVERY_CPU void causal_softmax_backward(std::size_t length, const float* probabilities, float* d) {
  causal_softmax_gradient(length, probabilities, d);
}
void causal_softmax_backward(std::size_t length, const double* probabilities, double* d) {
  causal_softmax_gradient(length, probabilities, d);
}

template <class Real>
void attention_forward(AttentionShape shape, const Real* qkv, Real* probabilities, Real* out) {
  const auto [samples, length, heads, width] = shape;
  const std::size_t head_width = width / heads;
  const Real scale = Real(1) / std::sqrt(static_cast<Real>(head_width));
  const int rows = narrow(length), columns = narrow(head_width), qkv_stride = narrow(3 * width), stride = narrow(width);
  for (std::size_t sample = 0; sample < samples; ++sample) {
    for (std::size_t head = 0; head < heads; ++head) {
      const Real* queries = qkv + sample * length * 3 * width + head * head_width;
      const Real* keys = queries + width;
      const Real* values = keys + width;
      Real* p = probabilities + (sample * heads + head) * length * length;
      multiply(Transposed::no, Transposed::yes, rows, rows, columns, scale, queries, qkv_stride, keys, qkv_stride,
               Real(0), p, rows);
      causal_softmax_forward(length, p);
      multiply(Transposed::no, Transposed::no, rows, columns, rows, Real(1), p, rows, values, qkv_stride, Real(0),
               out + sample * length * width + head * head_width, stride);
    }
  }
}

template <class Real>
void attention_backward(AttentionShape shape, const Real* qkv, const Real* probabilities, const Real* d_out,
                        Real* d_qkv, Real* scratch) {
  const auto [samples, length, heads, width] = shape;
  const std::size_t head_width = width / heads;
  const Real scale = Real(1) / std::sqrt(static_cast<Real>(head_width));
  const int rows = narrow(length), columns = narrow(head_width), qkv_stride = narrow(3 * width), stride = narrow(width);
  for (std::size_t sample = 0; sample < samples; ++sample) {
    for (std::size_t head = 0; head < heads; ++head) {
      const std::size_t at = sample * length * 3 * width + head * head_width;
      const Real* queries = qkv + at;
      const Real* keys = queries + width;
      const Real* values = keys + width;
      const Real* p = probabilities + (sample * heads + head) * length * length;
      const Real* d = d_out + sample * length * width + head * head_width;
      Real* d_queries = d_qkv + at;
      Real* d_keys = d_queries + width;
      Real* d_values = d_keys + width;
      multiply(Transposed::yes, Transposed::no, rows, columns, rows, Real(1), p, rows, d, stride, Real(0), d_values,
               qkv_stride);
      multiply(Transposed::no, Transposed::yes, rows, rows, columns, Real(1), d, stride, values, qkv_stride, Real(0),
               scratch, rows);
      causal_softmax_backward(length, p, scratch);
      multiply(Transposed::no, Transposed::no, rows, columns, rows, scale, scratch, rows, keys, qkv_stride, Real(0),
               d_queries, qkv_stride);
      multiply(Transposed::yes, Transposed::no, rows, columns, rows, scale, scratch, rows, queries, qkv_stride, Real(0),
               d_keys, qkv_stride);
    }
  }
}

ULTRAMARINE_EVERY_CPU void cross_entropy_forward(std::size_t rows, std::size_t classes, float* logits,
                                                 const std::uint8_t* targets, float* losses) {
  cross_entropy(rows, classes, logits, targets, losses);
}
void cross_entropy_forward(std::size_t rows, std::size_t classes, double* logits, const std::uint8_t* targets,
                           double* losses) {
  cross_entropy(rows, classes, logits, targets, losses);
}

template <class Real>
void cross_entropy_backward(std::size_t rows, std::size_t classes, Real* probabilities, const std::uint8_t* targets,
                            Real weight) {
  for (std::size_t r = 0; r < rows; ++r) {
    Real* row = probabilities + r * classes;
    row[targets[r]] -= Real(1);
    for (std::size_t i = 0; i < classes; ++i) row[i] *= weight;
  }
}

template <class Real>
void mean_of_rows(std::size_t samples, std::size_t length, const Real* values, Real* means) {
  for (std::size_t sample = 0; sample < samples; ++sample) {
    Real sum = 0;
    for (std::size_t t = 0; t < length; ++t) sum += values[sample * length + t];
    means[sample] = sum / static_cast<Real>(length);
  }
}

template <class Real>
void embedding_forward(std::size_t samples, std::size_t length, std::size_t width, const std::uint8_t* tokens,
                       const Real* token_table, const Real* position_table, Real* out) {
  for (std::size_t row = 0; row < samples * length; ++row) {
    add(width, token_table + tokens[row] * width, position_table + row % length * width, out + row * width);
  }
}

template <class Real>
void embedding_backward(std::size_t samples, std::size_t length, std::size_t width, const std::uint8_t* tokens,
                        const Real* d_out, Real* d_token_table, Real* d_position_table) {
  for (std::size_t row = 0; row < samples * length; ++row) {
    const Real* d = d_out + row * width;
    Real* d_token = d_token_table + tokens[row] * width;
    Real* d_position = d_position_table + row % length * width;
    for (std::size_t i = 0; i < width; ++i) d_token[i] += d[i];
    for (std::size_t i = 0; i < width; ++i) d_position[i] += d[i];
  }
}

template <class Real>
void add(std::size_t count, const Real* a, const Real* b, Real* out) {
  for (std::size_t i = 0; i < count; ++i) out[i] = a[i] + b[i];
}

void set_compute_threads(int threads) { openblas_set_num_threads(threads); }

#define ULTRAMARINE_INSTANTIATE(Real)                                                                                \
  template void linear_forward(std::size_t, std::size_t, std::size_t, const Real*, const Real*, const Real*, Real*); \
  template void linear_backward(std::size_t, std::size_t, std::size_t, const Real*, const Real*, const Real*, Real*, \
                                Real*, Real*);                                                                       \
  template void attention_forward(AttentionShape, const Real*, Real*, Real*);                                        \
  template void attention_backward(AttentionShape, const Real*, const Real*, const Real*, Real*, Real*);             \
  template void cross_entropy_backward(std::size_t, std::size_t, Real*, const std::uint8_t*, Real);                  \
  template void mean_of_rows(std::size_t, std::size_t, const Real*, Real*);                                          \
  template void embedding_forward(std::size_t, std::size_t, std::size_t, const std::uint8_t*, const Real*,           \
                                  const Real*, Real*);                                                               \
  template void embedding_backward(std::size_t, std::size_t, std::size_t, const std::uint8_t*, const Real*, Real*,   \
                                   Real*);                                                                           \
  template void add(std::size_t, const Real*, const Real*, Real*);
ULTRAMARINE_INSTANTIATE(float)
ULTRAMARINE_INSTANTIATE(double)

}  // namespace ultramarine::trainer
