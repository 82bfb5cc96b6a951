// Products of matrices in float32. A block makes a tile of the result: it brings a slice of each factor into shared
// memory, and each of its threads multiplies a few rows with a few columns of them in registers, while the next slices
// are on their way. Every sum runs along the depth in one order that depends on the shape alone.
#include "worker/trainer/device/cuda/multiply.h"

#include "worker/trainer/device/cuda/block.h"

namespace ultramarine::trainer::cuda {

constexpr int side = 16;        // threads along the rows, and along the columns, of a tile
constexpr int slice = 16;       // of the depth that is in shared memory at a time
constexpr int piece = 4;        // neighbouring rows or columns of a thread: 16 bytes
constexpr int deep_groups = 3;  // of threads that share out the depth of a tile, where tiles are few
constexpr int group_threads = side * side;

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
                   int outer_end, int depth_end, int group, int thread)
      : depth(depth_end) {
    constexpr int width = tile_width<micro>, row = row_of_slice<micro>;
    const bool along_depth = depth_stride == 1;
    const int own_outer = along_depth ? thread / slice : thread % width,
              own_k = along_depth ? thread % slice : thread / width;
    const int outer_distance = along_depth ? group_threads / slice : 0, outer = outer_begin + own_outer;
    inside = outer >= outer_end ? 0 : along_depth ? (outer_end - outer - 1) / outer_distance + 1 : micro;
    k_distance = along_depth ? 0 : group_threads / width;
    k = group * slice + own_k;
    next = factor + static_cast<std::size_t>(outer) * outer_stride + static_cast<std::size_t>(k) * depth_stride;
    distance =
        static_cast<std::size_t>(outer_distance) * outer_stride + static_cast<std::size_t>(k_distance) * depth_stride;
    in_shared = own_k * row + own_outer;
    shared_distance = k_distance * row + outer_distance;
  }
  /// Takes the elements and goes on by `step` of the depth.
  __device__ void load(int step, std::size_t depth_stride, float* values) {
    ULTRAMARINE_UNROLL
    for (int i = 0; i < micro; ++i) {
      const bool has = i < inside && k + i * k_distance < depth;
      values[i] = has ? next[static_cast<std::size_t>(i) * distance] : 0.0F;
    }
    k += step;
    next += static_cast<std::size_t>(step) * depth_stride;
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

/// Elements of shared memory for a slice of each factor, for each group.
template <int tall, int wide, int groups>
constexpr int shared_elements = groups*(slice_elements<tall> + slice_elements<wide>);

/// One tile, whose threads have tall x wide elements each; `shared` has shared_elements of them.
template <int tall, int wide, int groups>
__device__ inline void multiply_tile(const Product& product, const float* a, const float* b, const float* bias,
                                     float* out, float* shared) {
  static_assert(tall * wide * group_threads <= shared_elements<tall, wide, groups> || groups == 1);
  const int thread = static_cast<int>(threadIdx.x) % group_threads,
            group = static_cast<int>(threadIdx.x) / group_threads;
  const int x = thread % side, y = thread / side;
  const int rows = static_cast<int>(product.rows), columns = static_cast<int>(product.columns),
            depth = static_cast<int>(product.depth);
  const unsigned row_tiles = static_cast<unsigned>((rows + tile_width<tall> - 1) / tile_width<tall>);
  const std::size_t number = blockIdx.x / row_tiles, sample = number / product.heads, head = number % product.heads;
  const int first_row = static_cast<int>(blockIdx.x % row_tiles) * tile_width<tall>,
            first_column = static_cast<int>(blockIdx.y) * tile_width<wide>;
  Share<tall> of_a(a + sample * product.a_sample + head * product.a_head, product.a_row, product.a_column, first_row,
                   rows, depth, group, thread);
  Share<wide> of_b(b + sample * product.b_sample + head * product.b_head, product.b_column, product.b_row, first_column,
                   columns, depth, group, thread);
  float* a_shared = shared + group * shared_elements<tall, wide, 1>;
  float* b_shared = a_shared + slice_elements<tall>;

  float sums[tall][wide] = {}, next_a[tall], next_b[wide];
  constexpr int step = slice * groups;
  of_a.load(step, product.a_column, next_a);
  of_b.load(step, product.b_row, next_b);
  for (int begin = 0; begin < depth; begin += step) {
    of_a.store(next_a, a_shared);
    of_b.store(next_b, b_shared);
    __syncthreads();
    if (begin + step < depth) {
      of_a.load(step, product.a_column, next_a);
      of_b.load(step, product.b_row, next_b);
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
  // The groups' sums, in their order, through the memory of the slices.
  ULTRAMARINE_UNROLL
  for (int other = 1; other < groups; ++other) {
    ULTRAMARINE_UNROLL
    for (int i = 0; i < tall * wide; ++i) {
      if (group == other) shared[i * group_threads + thread] = sums[i / wide][i % wide];
    }
    __syncthreads();
    ULTRAMARINE_UNROLL
    for (int i = 0; i < tall * wide; ++i) {
      if (group == 0) sums[i / wide][i % wide] += shared[i * group_threads + thread];
    }
    __syncthreads();
  }
  if (group != 0) return;
  out += sample * product.out_sample + head * product.out_head;
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

__global__ void __launch_bounds__(group_threads)
    multiply_kernel(Product product, const float* a, const float* b, const float* bias, float* out) {
  __shared__ __align__(16) float shared[shared_elements<4, 4, 1>];
  multiply_tile<4, 4, 1>(product, a, b, bias, out, shared);
}
ULTRAMARINE_KERNEL(multiply_kernel);

/// With tiles of twice the size: fewer bytes for each product.
__global__ void __launch_bounds__(group_threads, 2)
    multiply_large_kernel(Product product, const float* a, const float* b, const float* bias, float* out) {
  __shared__ __align__(16) float shared[shared_elements<8, 4, 1>];
  multiply_tile<8, 4, 1>(product, a, b, bias, out, shared);
}
ULTRAMARINE_KERNEL(multiply_large_kernel);

/// With several times the threads on each tile.
__global__ void __launch_bounds__(group_threads* deep_groups)
    multiply_deep_kernel(Product product, const float* a, const float* b, const float* bias, float* out) {
  __shared__ __align__(16) float shared[shared_elements<4, 4, deep_groups>];
  multiply_tile<4, 4, deep_groups>(product, a, b, bias, out, shared);
}
ULTRAMARINE_KERNEL(multiply_deep_kernel);

template <int tall, int wide>
static dim3 tiles_of(const Product& product) {
  const auto parts = [](std::size_t count, std::size_t width) { return (count + width - 1) / width; };
  return dim3(static_cast<unsigned>(parts(product.rows, tile_width<tall>) * product.samples * product.heads),
              static_cast<unsigned>(parts(product.columns, tile_width<wide>)));
}

cudaError_t multiply(const Product& product, const float* a, const float* b, const float* bias, float* out,
                     cudaStream_t stream) {
  constexpr std::size_t enough_tiles = 264;  // two for each multiprocessor of an H100
  constexpr std::size_t deep = 1024;
  const auto number = [](dim3 grid) { return static_cast<std::size_t>(grid.x) * grid.y; };
  const dim3 tiles = tiles_of<4, 4>(product), large_tiles = tiles_of<8, 4>(product);
  if (product.rows > tile_width<4> && number(large_tiles) >= enough_tiles)
    return launch(multiply_large_kernel, large_tiles, dim3(group_threads), 0, stream, product, a, b, bias, out);
  if (product.depth >= deep && number(tiles) < enough_tiles)
    return launch(multiply_deep_kernel, tiles, dim3(group_threads * deep_groups), 0, stream, product, a, b, bias, out);
  return launch(multiply_kernel, tiles, dim3(group_threads), 0, stream, product, a, b, bias, out);
}

}  // namespace ultramarine::trainer::cuda
