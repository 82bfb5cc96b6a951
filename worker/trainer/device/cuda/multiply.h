// Products of matrices, which linear.cu and attention.cu are made of.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

namespace ultramarine::trainer::cuda {

/// out = scale * a * b (+ bias of each column) (+ out), once for each head of each sample; the distances, in elements,
/// say how each matrix lies, transposed or not.
struct Product {
  static constexpr bool holds_no_pointers = true;  // so it may be a kernel's argument

  std::size_t rows, columns, depth;
  std::size_t a_row, a_column;  // a(r, k) is at a[r * a_row + k * a_column]
  std::size_t b_row, b_column;  // b(k, c) at b[k * b_row + c * b_column]
  std::size_t out_row;          // out(r, c) at out[r * out_row + c]
  float scale = 1;
  bool accumulate = false;
  std::size_t samples = 1, heads = 1;
  std::size_t a_sample = 0, a_head = 0, b_sample = 0, b_head = 0, out_sample = 0, out_head = 0;
};

/// Elements of scratch with which multiply(product, ...) is faster; often none.
std::size_t multiply_scratch(const Product& product);
/// No bias if null; scratch may be null, too.
cudaError_t multiply(const Product& product, const float* a, const float* b, const float* bias, float* out,
                     float* scratch, cudaStream_t stream);

}  // namespace ultramarine::trainer::cuda
