// The numbers of ultra-perf, without a clock or a communicator: which sizes, how many elements, what bandwidth.
// Columns, sizes and factors follow nccl-tests (doc/PERFORMANCE.md): size is the larger of the two buffers of a rank,
// count what MPI and NCCL call count, algbw = size / time, busbw = algbw x factor, GB/s with 1 GB = 1e9 bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "collectives/work.h"

namespace ultramarine::collectives::benchmark {

/// What one measurement moves on each rank.
struct Shape {
  Kind kind = Kind::all_reduce;
  DataType type = DataType::float32;
  int ranks = 1;
  std::size_t count = 0;  // elements: of one rank's part for reduce_scatter and all_gather, of the buffer otherwise

  std::size_t send_count() const;
  std::size_t receive_count() const;
  std::size_t bytes() const;  // of the larger buffer
};

/// The shape of at most `bytes`, but with at least one element in each part.
Shape shape_of(Kind kind, DataType type, int ranks, std::size_t bytes);

/// The shapes for sizes from `minimum` to `maximum` bytes, each `factor` times the one before (factor < 2: plus
/// `step`); sizes too small to differ are left out.
std::vector<Shape> sweep(Kind kind, DataType type, int ranks, std::size_t minimum, std::size_t maximum,
                         std::size_t factor, std::size_t step);

/// What a bandwidth is to be multiplied with so that it can be compared with that of the hardware, whatever the number
/// of ranks: all_reduce 2(n-1)/n, reduce_scatter and all_gather (n-1)/n, broadcast 1.
double bus_factor(Kind kind, int ranks);

struct Rate {
  double time_us = 0;
  double algbw = 0, busbw = 0;  // GB/s
};
Rate rate_of(const Shape& shape, double seconds);

/// The test data: small whole numbers, so that sums over all ranks are exact in every type and in every order of
/// addition.
class Data {
 public:
  Data(DataType type, int ranks, Operation operation);

  /// Element `index` of rank `rank`.
  std::int64_t value(int rank, std::size_t index) const;
  /// Element `index` of the reduction over all ranks.
  std::int64_t reduced(std::size_t index) const { return reduced_[index % reduced_.size()]; }

 private:
  std::size_t modulus_;
  std::vector<std::int64_t> reduced_;
};

/// "4", "8K", "256M", "1G" (powers of 1024) in bytes; 0 for anything else.
std::size_t bytes_from_text(const std::string& text);

/// As nccl-tests writes it: float, bfloat16, int64.
std::string column_name(DataType type);

}  // namespace ultramarine::collectives::benchmark
