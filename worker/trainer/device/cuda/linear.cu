// Linear layers: products of matrices, and sums over columns for the bias.
#include "worker/trainer/device/cuda/block.h"
#include "worker/trainer/device/cuda/kernels.h"
#include "worker/trainer/device/cuda/multiply.h"

namespace ultramarine::trainer::cuda {

/// sums[c] += the sum of column c.
__global__ void __launch_bounds__(column_threads)
    column_sums_kernel(std::size_t rows, std::size_t columns, const float* values, float* sums) {
  const ColumnPlace here;
  float sum = 0;
  if (here.column < columns) {
    for (std::size_t row = here.lane; row < rows; row += column_lanes) sum += values[row * columns + here.column];
  }
  sum = sum_of_lanes(sum);
  if (here.lane == 0 && here.column < columns) sums[here.column] += sum;
}
ULTRAMARINE_KERNEL(column_sums_kernel);

/// d_weight += transposed d_out * in
static Product weight_product(std::size_t rows, std::size_t inputs, std::size_t outputs) {
  return {.rows = outputs,
          .columns = inputs,
          .depth = rows,
          .a_row = 1,
          .a_column = outputs,
          .b_row = inputs,
          .b_column = 1,
          .out_row = inputs,
          .accumulate = true};
}

std::size_t linear_scratch(std::size_t rows, std::size_t inputs, std::size_t outputs) {
  return multiply_scratch(weight_product(rows, inputs, outputs));
}

cudaError_t linear_forward(std::size_t rows, std::size_t inputs, std::size_t outputs, const float* in,
                           const float* weight, const float* bias, float* out, cudaStream_t stream) {
  return multiply({.rows = rows,
                   .columns = outputs,
                   .depth = inputs,
                   .a_row = inputs,
                   .a_column = 1,
                   .b_row = 1,
                   .b_column = inputs,
                   .out_row = outputs},
                  in, weight, bias, out, nullptr, stream);
}

cudaError_t linear_backward(std::size_t rows, std::size_t inputs, std::size_t outputs, const float* in,
                            const float* weight, const float* d_out, float* d_in, float* d_weight, float* d_bias,
                            float* scratch, cudaStream_t stream) {
  cudaError_t error = multiply({.rows = rows,
                                .columns = inputs,
                                .depth = outputs,
                                .a_row = outputs,
                                .a_column = 1,
                                .b_row = inputs,
                                .b_column = 1,
                                .out_row = inputs},
                               d_out, weight, nullptr, d_in, nullptr, stream);
  if (error == cudaSuccess)
    error = multiply(weight_product(rows, inputs, outputs), d_out, in, nullptr, d_weight, scratch, stream);
  if (error == cudaSuccess && d_bias) {
    error = launch(column_sums_kernel, column_blocks_for(outputs), dim3(column_threads), 0, stream, rows, outputs,
                   d_out, d_bias);
  }
  return error;
}

}  // namespace ultramarine::trainer::cuda
