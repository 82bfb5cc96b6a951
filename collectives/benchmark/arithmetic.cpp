#include "collectives/benchmark/arithmetic.h"

#include <algorithm>
#include <cctype>

namespace ultramarine::collectives::benchmark {

std::size_t Shape::send_count() const {
  return kind == Kind::reduce_scatter ? count * static_cast<std::size_t>(ranks) : count;
}
std::size_t Shape::receive_count() const {
  return kind == Kind::all_gather ? count * static_cast<std::size_t>(ranks) : count;
}
std::size_t Shape::bytes() const { return std::max(send_count(), receive_count()) * size_of(type); }

Shape shape_of(Kind kind, DataType type, int ranks, std::size_t bytes) {
  const bool parts = kind == Kind::reduce_scatter || kind == Kind::all_gather;
  const std::size_t count = bytes / size_of(type) / static_cast<std::size_t>(parts ? ranks : 1);
  return {kind, type, ranks, std::max<std::size_t>(count, 1)};
}

std::vector<Shape> sweep(Kind kind, DataType type, int ranks, std::size_t minimum, std::size_t maximum,
                         std::size_t factor, std::size_t step) {
  std::vector<Shape> shapes;
  for (std::size_t bytes = minimum; bytes <= maximum;) {
    const Shape shape = shape_of(kind, type, ranks, bytes);
    if (shapes.empty() || shape.count != shapes.back().count) shapes.push_back(shape);
    const std::size_t next = factor >= 2 ? bytes * factor : bytes + step;
    if (next <= bytes) break;
    bytes = next;
  }
  return shapes;
}

double bus_factor(Kind kind, int ranks) {
  const double n = ranks;
  if (kind == Kind::all_reduce) return 2 * (n - 1) / n;
  if (kind == Kind::reduce_scatter || kind == Kind::all_gather) return (n - 1) / n;
  return 1;
}

Rate rate_of(const Shape& shape, double seconds) {
  const double algbw = seconds > 0 ? static_cast<double>(shape.bytes()) / 1e9 / seconds : 0;
  return {seconds * 1e6, algbw, algbw * bus_factor(shape.kind, shape.ranks)};
}

Data::Data(DataType type, int ranks, Operation operation) {
  // bf16 holds whole numbers up to 256.
  modulus_ = type == DataType::bf16 ? std::clamp<std::size_t>(256 / static_cast<std::size_t>(ranks) + 1, 2, 251) : 251;
  reduced_.resize(modulus_);
  for (std::size_t index = 0; index < modulus_; ++index) {
    for (int rank = 0; rank < ranks; ++rank) {
      const std::int64_t own = value(rank, index);
      reduced_[index] = operation == Operation::sum ? reduced_[index] + own : std::max(reduced_[index], own);
    }
  }
}

std::int64_t Data::value(int rank, std::size_t index) const {
  return static_cast<std::int64_t>((index + 31 * static_cast<std::size_t>(rank)) % modulus_);
}

std::size_t bytes_from_text(const std::string& text) {
  std::size_t used = 0, number = 0;
  while (used < text.size() && used < 15 && std::isdigit(static_cast<unsigned char>(text[used])))
    number = number * 10 + static_cast<std::size_t>(text[used++] - '0');
  const std::string unit = text.substr(used);
  if (used == 0) return 0;
  if (unit.empty()) return number;
  const int shift = unit == "K" || unit == "k"   ? 10
                    : unit == "M" || unit == "m" ? 20
                    : unit == "G" || unit == "g" ? 30
                                                 : 0;
  return shift == 0 ? 0 : number << shift;
}

std::string column_name(DataType type) {
  return type == DataType::float32 ? "float" : type == DataType::bf16 ? "bfloat16" : "int64";
}

}  // namespace ultramarine::collectives::benchmark
