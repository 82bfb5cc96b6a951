// Products of matrices in float32. A block makes a tile of the result: it brings a slice of each factor into shared
// memory, and each of its threads multiplies a few rows with a few columns of them in registers, while the next slices
// are on their way. Where tiles are few and the depth is great, parts of the depth are made apart and added. Every sum
// has one order, which depends on the shape alone.
#include "worker/trainer/device/cuda/multiply.h"

#include <algorithm>

#include "worker/trainer/device/cuda/block.h"

namespace ultramarine::trainer::cuda {

constexpr int side = 16;   // threads along the rows, and along the columns, of a tile
constexpr int slice = 16;  // of the depth that is in shared memory at a time
constexpr int piece = 4;   // neighbouring rows or columns of a thread: 16 bytes
constexpr int tile_threads = side * side;

/// Rows (or columns) of a tile whose threads have `micro` of them each.
template <int micro>
constexpr int tile_width = side* micro;
/// In shared memory: between the rows of a slice, an odd number of 16 bytes; and for a whole slice.
template <int micro>
constexpr int row_of_slice = tile_width<micro> + piece;
template <int micro>
constexpr int slice_elements = slice* row_of_slice<micro>;

/// What a thread brings of the slices of a factor [outer, depth]: `micro` elements at equal distances, so that
/// neighbouring threads take neighbouring elements, whichever way the factor lies.
template <int micro>
struct Share {
  const float* next;     // the first of them in the next slice
  std::size_t distance;  // from one to the next
  int inside;            // how many of them the factor has
  int k, k_distance, depth;
  int in_shared, shared_distance;

  __device__ Share(const float* factor, std::size_t outer_stride, std::size_t depth_stride, int outer_begin,
                   int outer_end, int depth_begin, int depth_end, int thread)
      : depth(depth_end) {
    constexpr int width = tile_width<micro>, row = row_of_slice<micro>;
    const bool along_depth = depth_stride == 1;
    const int own_outer = along_depth ? thread / slice : thread % width,
              own_k = along_depth ? thread % slice : thread / width;
    const int outer_distance = along_depth ? tile_threads / slice : 0, outer = outer_begin + own_outer;
    inside = outer >= outer_end ? 0 : along_depth ? (outer_end - outer - 1) / outer_distance + 1 : micro;
    k_distance = along_depth ? 0 : tile_threads / width;
    k = depth_begin + own_k;
    next = factor + static_cast<std::size_t>(outer) * outer_stride + static_cast<std::size_t>(k) * depth_stride;
    distance =
        static_cast<std::size_t>(outer_distance) * outer_stride + static_cast<std::size_t>(k_distance) * depth_stride;
    in_shared = own_k * row + own_outer;
    shared_distance = k_distance * row + outer_distance;
  }
  /// Takes the elements and goes on to the next slice.
  __device__ void load(std::size_t depth_stride, float* values) {
    ULTRAMARINE_UNROLL
    for (int i = 0; i < micro; ++i) {
      const bool has = i < inside && k + i * k_distance < depth;
      values[i] = has ? next[static_cast<std::size_t>(i) * distance] : 0.0F;
    }
    k += slice;
    next += slice * depth_stride;
  }
  __device__ void store(const float* values, float* shared) const {
    ULTRAMARINE_UNROLL
    for (int i = 0; i < micro; ++i) shared[in_shared + i * shared_distance] = values[i];
  }
};

/// Where element i of a thread's micro rows (or columns) is in the tile: pieces of four.
__device__ inline int place_in_tile(int thread, int i) {
  return i / piece * (side * piece) + thread * piece + i % piece;
}

/// One tile, whose threads have tall x wide elements each, of the part of the depth that is the block's.
template <int tall, int wide>
__device__ inline void multiply_tile(const Product& product, int depth_of_part, const float* a, const float* b,
                                     const float* bias, float* out, float* a_shared, float* b_shared) {
  const int thread = static_cast<int>(threadIdx.x), x = thread % side, y = thread / side;
  const int rows = static_cast<int>(product.rows), columns = static_cast<int>(product.columns);
  const unsigned row_tiles = static_cast<unsigned>((rows + tile_width<tall> - 1) / tile_width<tall>);
  const std::size_t number = blockIdx.x / row_tiles, sample = number / product.heads, head = number % product.heads;
  const int first_row = static_cast<int>(blockIdx.x % row_tiles) * tile_width<tall>,
            first_column = static_cast<int>(blockIdx.y) * tile_width<wide>;
  const int depth = static_cast<int>(product.depth), depth_begin = static_cast<int>(blockIdx.z) * depth_of_part,
            depth_end = depth_begin + depth_of_part < depth ? depth_begin + depth_of_part : depth;
  Share<tall> of_a(a + sample * product.a_sample + head * product.a_head, product.a_row, product.a_column, first_row,
                   rows, depth_begin, depth_end, thread);
  Share<wide> of_b(b + sample * product.b_sample + head * product.b_head, product.b_column, product.b_row, first_column,
                   columns, depth_begin, depth_end, thread);

  float sums[tall][wide] = {}, next_a[tall], next_b[wide];
  of_a.load(product.a_column, next_a);
  of_b.load(product.b_row, next_b);
  for (int begin = depth_begin; begin < depth_end; begin += slice) {
    of_a.store(next_a, a_shared);
    of_b.store(next_b, b_shared);
    __syncthreads();
    if (begin + slice < depth_end) {
      of_a.load(product.a_column, next_a);
      of_b.load(product.b_row, next_b);
    }
    ULTRAMARINE_UNROLL
    for (int k = 0; k < slice; ++k) {
      float rows_of_a[tall], columns_of_b[wide];
      ULTRAMARINE_UNROLL
      for (int i = 0; i < tall; ++i) rows_of_a[i] = a_shared[k * row_of_slice<tall> + place_in_tile(y, i)];
      ULTRAMARINE_UNROLL
      for (int i = 0; i < wide; ++i) columns_of_b[i] = b_shared[k * row_of_slice<wide> + place_in_tile(x, i)];
      ULTRAMARINE_UNROLL
      for (int i = 0; i < tall; ++i) {
        ULTRAMARINE_UNROLL
        for (int j = 0; j < wide; ++j) sums[i][j] += rows_of_a[i] * columns_of_b[j];
      }
    }
    __syncthreads();
  }
  out += sample * product.out_sample + head * product.out_head +
         blockIdx.z * static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns);
  ULTRAMARINE_UNROLL
  for (int i = 0; i < tall; ++i) {
    const int row = first_row + place_in_tile(y, i);
    ULTRAMARINE_UNROLL
    for (int j = 0; j < wide; ++j) {
      const int column = first_column + place_in_tile(x, j);
      if (row >= rows || column >= columns) continue;
      float* at = out + static_cast<std::size_t>(row) * product.out_row + static_cast<std::size_t>(column);
      float value = product.scale * sums[i][j];
      if (bias) value += bias[column];
      *at = product.accumulate ? *at + value : value;
    }
  }
}

__global__ void __launch_bounds__(tile_threads)
    multiply_kernel(Product product, int depth_of_part, const float* a, const float* b, const float* bias, float* out) {
  __shared__ __align__(16) float a_shared[slice_elements<4>];
  __shared__ __align__(16) float b_shared[slice_elements<4>];
  multiply_tile<4, 4>(product, depth_of_part, a, b, bias, out, a_shared, b_shared);
}
ULTRAMARINE_KERNEL(multiply_kernel);

/// With tiles of twice the size: fewer bytes for each product.
__global__ void __launch_bounds__(tile_threads, 2)
    multiply_large_kernel(Product product, int depth_of_part, const float* a, const float* b, const float* bias,
                          float* out) {
  __shared__ __align__(16) float a_shared[slice_elements<8>];
  __shared__ __align__(16) float b_shared[slice_elements<4>];
  multiply_tile<8, 4>(product, depth_of_part, a, b, bias, out, a_shared, b_shared);
}
ULTRAMARINE_KERNEL(multiply_large_kernel);

/// The parts' results [parts, rows, columns], in their order, into out.
__global__ void add_parts_kernel(Product product, int parts, const float* results, const float* bias, float* out) {
  const std::size_t i = thread_number(), count = product.rows * product.columns;
  if (i >= count) return;
  const std::size_t column = i % product.columns;
  float sum = results[i];
  for (int part = 1; part < parts; ++part) sum += results[static_cast<std::size_t>(part) * count + i];
  if (bias) sum += bias[column];
  float* at = out + i / product.columns * product.out_row + column;
  *at = product.accumulate ? *at + sum : sum;
}
ULTRAMARINE_KERNEL(add_parts_kernel);

namespace {

/// How a product is made: by the shape alone, so that the same call adds in the same order.
struct Plan {
  bool large = false;
  dim3 grid;
  std::size_t depth_of_part = 0;
};

template <int tall, int wide>
dim3 tiles_of(const Product& product) {
  const auto parts = [](std::size_t count, std::size_t width) { return (count + width - 1) / width; };
  return dim3(static_cast<unsigned>(parts(product.rows, tile_width<tall>) * product.samples * product.heads),
              static_cast<unsigned>(parts(product.columns, tile_width<wide>)));
}

Plan plan_of(const Product& product, bool has_scratch) {
  constexpr std::size_t enough_tiles = 264;  // two for each multiprocessor of an H100
  constexpr std::size_t deep = 512;          // of a part of the depth, at least
  const auto number = [](dim3 grid) { return static_cast<std::size_t>(grid.x) * grid.y; };
  const bool may_split = has_scratch && product.samples * product.heads == 1 && product.depth >= 2 * deep;
  Plan plan{.grid = tiles_of<4, 4>(product), .depth_of_part = product.depth};
  const dim3 large = tiles_of<8, 4>(product);
  plan.large = product.rows > tile_width<4> && (number(large) >= enough_tiles || may_split);
  if (plan.large) plan.grid = large;
  if (may_split && number(plan.grid) < enough_tiles) {
    const std::size_t parts = std::clamp<std::size_t>(2 * enough_tiles / number(plan.grid), 1, product.depth / deep);
    plan.depth_of_part = ((product.depth + parts - 1) / parts + slice - 1) / slice * slice;
    plan.grid.z = static_cast<unsigned>((product.depth + plan.depth_of_part - 1) / plan.depth_of_part);
  }
  return plan;
}

}  // namespace

std::size_t multiply_scratch(const Product& product) {
  const unsigned parts = plan_of(product, true).grid.z;
  return parts > 1 ? parts * product.rows * product.columns : 0;
}

cudaError_t multiply(const Product& product, const float* a, const float* b, const float* bias, float* out,
                     float* scratch, cudaStream_t stream) {
  const Plan plan = plan_of(product, scratch != nullptr);
  const auto start = [&](const Product& made, const float* with_bias, float* to) {
    return launch(plan.large ? multiply_large_kernel : multiply_kernel, plan.grid, dim3(tile_threads), 0, stream, made,
                  plan.depth_of_part, a, b, with_bias, to);
  };
  if (plan.grid.z == 1) return start(product, bias, out);
  Product of_parts = product;
  of_parts.out_row = product.columns;
  of_parts.accumulate = false;
  const cudaError_t error = start(of_parts, nullptr, scratch);
  if (error != cudaSuccess) return error;
  return launch(add_parts_kernel, blocks_for(product.rows * product.columns), dim3(element_threads), 0, stream, product,
                plan.grid.z, scratch, bias, out);
}

}  // namespace ultramarine::trainer::cuda
