// Products of matrices, tile by tile through shared memory, and sums over columns for the bias.
#include "worker/trainer/device/cuda/block.h"
#include "worker/trainer/device/cuda/kernels.h"

namespace ultramarine::trainer::cuda {

constexpr int tile = 16;

/// out[rows, columns] = a * b (+ bias) (+ out if `accumulate`), with a(r, k) at a[r * a_row + k * a_column] and b(k, c)
/// at b[k * b_row + c * b_column]: transposed or not. One block of tile x tile threads per tile of out.
__global__ void __launch_bounds__(tile* tile)
    multiply_kernel(int rows, int columns, int depth, const float* a, std::size_t a_row, std::size_t a_column,
                    const float* b, std::size_t b_row, std::size_t b_column, const float* bias, int accumulate,
                    float* out) {
  __shared__ float a_tile[tile][tile + 1];
  __shared__ float b_tile[tile][tile + 1];
  const int x = static_cast<int>(threadIdx.x) % tile, y = static_cast<int>(threadIdx.x) / tile;
  const int first_row = static_cast<int>(blockIdx.x) * tile, first_column = static_cast<int>(blockIdx.y) * tile;
  const int row = first_row + y, column = first_column + x;
  float sum = 0;
  for (int begin = 0; begin < depth; begin += tile) {
    const int k = begin + x, row_of_b = begin + y;
    a_tile[y][x] = row < rows && k < depth
                       ? a[static_cast<std::size_t>(row) * a_row + static_cast<std::size_t>(k) * a_column]
                       : 0.0F;
    b_tile[y][x] = row_of_b < depth && column < columns
                       ? b[static_cast<std::size_t>(row_of_b) * b_row + static_cast<std::size_t>(column) * b_column]
                       : 0.0F;
    __syncthreads();
    for (int i = 0; i < tile; ++i) sum += a_tile[y][i] * b_tile[i][x];
    __syncthreads();
  }
  if (row >= rows || column >= columns) return;
  float* at =
      out + static_cast<std::size_t>(row) * static_cast<std::size_t>(columns) + static_cast<std::size_t>(column);
  if (bias) sum += bias[column];
  *at = accumulate ? *at + sum : sum;
}
ULTRAMARINE_KERNEL(multiply_kernel);

/// sums[c] += the sum of column c. One thread per column.
__global__ void column_sums_kernel(std::size_t rows, std::size_t columns, const float* values, float* sums) {
  const std::size_t column = thread_number();
  if (column >= columns) return;
  float sum = 0;
  for (std::size_t row = 0; row < rows; ++row) sum += values[row * columns + column];
  sums[column] += sum;
}
ULTRAMARINE_KERNEL(column_sums_kernel);

static cudaError_t multiply(std::size_t rows, std::size_t columns, std::size_t depth, const float* a, std::size_t a_row,
                            std::size_t a_column, const float* b, std::size_t b_row, std::size_t b_column,
                            const float* bias, bool accumulate, float* out, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>((rows + tile - 1) / tile), static_cast<unsigned>((columns + tile - 1) / tile));
  return launch(multiply_kernel, grid, dim3(tile * tile), 0, stream, rows, columns, depth, a, a_row, a_column, b, b_row,
                b_column, bias, accumulate, out);
}

cudaError_t linear_forward(std::size_t rows, std::size_t inputs, std::size_t outputs, const float* in,
                           const float* weight, const float* bias, float* out, cudaStream_t stream) {
  return multiply(rows, outputs, inputs, in, inputs, 1, weight, 1, inputs, bias, false, out, stream);
}

cudaError_t linear_backward(std::size_t rows, std::size_t inputs, std::size_t outputs, const float* in,
                            const float* weight, const float* d_out, float* d_in, float* d_weight, float* d_bias,
                            cudaStream_t stream) {
  cudaError_t error =
      multiply(rows, inputs, outputs, d_out, outputs, 1, weight, inputs, 1, nullptr, false, d_in, stream);
  if (error == cudaSuccess)
    error = multiply(outputs, inputs, rows, d_out, 1, outputs, in, inputs, 1, nullptr, true, d_weight, stream);
  if (error == cudaSuccess && d_bias) {
    error =
        launch(column_sums_kernel, blocks_for(outputs), dim3(element_threads), 0, stream, rows, outputs, d_out, d_bias);
  }
  return error;
}

}  // namespace ultramarine::trainer::cuda
