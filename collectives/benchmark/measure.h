// Times collectives on one rank's communicator, out of place and in place, and compares every element of the results
// with what they must be. Every rank calls the same; it knows no output.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "collectives/benchmark/arithmetic.h"
#include "collectives/communicator.h"

namespace ultramarine::collectives::benchmark {

struct Settings {
  Operation operation = Operation::sum;
  int root = 0;
  int warmup = 5;
  int iterations = 20;
  bool check = true;
  std::chrono::milliseconds deadline = std::chrono::minutes(5);
};

struct Measured {
  Rate rate;                          // time: mean over iterations and ranks
  std::optional<std::int64_t> wrong;  // elements over all ranks; nothing if they weren't checked
};

struct Row {
  Shape shape;
  Measured out_of_place, in_place;
};

class Memory;

/// One rank of a benchmark; keeps buffers for up to `bytes_max` (the larger buffer of a shape).
class Benchmark {
 public:
  Benchmark(Communicator& communicator, const Settings& settings, std::size_t bytes_max);
  ~Benchmark();

  /// Throws CollectiveError.
  Row measure(const Shape& shape);

 private:
  struct Buffers {
    Buffer send, receive;
  };
  Buffers buffers(const Shape& shape, bool in_place) const;
  void fill(const Shape& shape, const Buffers& buffers, bool in_place);
  std::unique_ptr<Pending> start(const Shape& shape, const Buffers& buffers);
  double time(const Shape& shape, const Buffers& buffers);
  std::int64_t count_wrong(const Shape& shape, const Buffers& buffers);
  std::int64_t sum_over_ranks(std::int64_t value);

  Communicator& communicator_;
  Settings settings_;
  std::unique_ptr<Memory> first_, second_, word_;
};

}  // namespace ultramarine::collectives::benchmark
