#include "collectives/benchmark/measure.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "collectives/bf16.h"
#include "collectives/cuda_plugin.h"

namespace ultramarine::collectives::benchmark {

/// A buffer where the backend works, with what is needed to fill and to read it.
class Memory {
 public:
  Memory(const Communicator& communicator, std::size_t bytes)
      : plugin_(communicator.capabilities().device_buffers ? cuda_plugin().plugin : nullptr) {
    if (plugin_) {
      plugin_->use_device(communicator.capabilities().device);
      data_ = plugin_->allocate(bytes);
    } else {
      data_ = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
      if (!data_) throw std::bad_alloc();
    }
  }
  ~Memory() {
    if (plugin_) {
      plugin_->release(data_);
    } else {
      std::free(data_);
    }
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  Buffer buffer(std::size_t count, DataType type) const {
    return {data_, count, type, plugin_ ? Residence::device : Residence::host};
  }
  void write(void* to, const void* from, std::size_t bytes) const {
    if (plugin_) {
      plugin_->copy_to_device(to, from, bytes);
    } else {
      std::memcpy(to, from, bytes);
    }
  }
  void read(void* to, const void* from, std::size_t bytes) const {
    if (plugin_) {
      plugin_->copy_to_host(to, from, bytes);
    } else {
      std::memcpy(to, from, bytes);
    }
  }

 private:
  const CudaPlugin* plugin_;
  void* data_ = nullptr;
};

namespace {

constexpr std::size_t block = 1 << 16;  // elements that are filled or read at once

template <class T>
T encode(std::int64_t value) {
  if constexpr (sizeof(T) == 2) return to_bf16(static_cast<float>(value));
  return static_cast<T>(value);
}

/// Element i of `buffer` becomes value(i).
template <class T, class Value>
void fill_with(const Memory& memory, const Buffer& buffer, Value value) {
  std::vector<T> part(std::min(block, buffer.count));
  for (std::size_t begin = 0; begin < buffer.count; begin += block) {
    const std::size_t size = std::min(block, buffer.count - begin);
    for (std::size_t i = 0; i < size; ++i) part[i] = encode<T>(value(begin + i));
    memory.write(static_cast<T*>(buffer.data) + begin, part.data(), size * sizeof(T));
  }
}
template <class T, class Value>
std::int64_t differences(const Memory& memory, const Buffer& buffer, Value value) {
  std::vector<T> part(std::min(block, buffer.count));
  std::int64_t wrong = 0;
  for (std::size_t begin = 0; begin < buffer.count; begin += block) {
    const std::size_t size = std::min(block, buffer.count - begin);
    memory.read(part.data(), static_cast<const T*>(buffer.data) + begin, size * sizeof(T));
    for (std::size_t i = 0; i < size; ++i) wrong += part[i] != encode<T>(value(begin + i));
  }
  return wrong;
}

template <class Function>
auto with_type(DataType type, Function function) {
  if (type == DataType::float32) return function(float{});
  if (type == DataType::bf16) return function(std::uint16_t{});
  return function(std::int64_t{});
}

}  // namespace

Benchmark::Benchmark(Communicator& communicator, const Settings& settings, std::size_t bytes_max)
    : communicator_(communicator),
      settings_(settings),
      first_(std::make_unique<Memory>(communicator, bytes_max)),
      second_(std::make_unique<Memory>(communicator, bytes_max)),
      word_(std::make_unique<Memory>(communicator, sizeof(std::int64_t))) {}

Benchmark::~Benchmark() = default;

Benchmark::Buffers Benchmark::buffers(const Shape& shape, bool in_place) const {
  const Buffer send = first_->buffer(shape.send_count(), shape.type);
  const Buffer receive = second_->buffer(shape.receive_count(), shape.type);
  if (!in_place) return {send, receive};
  const int rank = communicator_.rank(), ranks = communicator_.world_size();
  if (shape.kind == Kind::reduce_scatter) return {send, part_of(send, rank, ranks)};
  if (shape.kind == Kind::all_gather) return {part_of(receive, rank, ranks), receive};
  return {send, send};
}

/// The receive buffer is first made to hold what is nowhere right; in place, what is sent comes last.
void Benchmark::fill(const Shape& shape, const Buffers& buffers, bool in_place) {
  const Data data(shape.type, shape.ranks, settings_.operation);
  const int rank = communicator_.rank();
  with_type(shape.type, [&](auto zero) {
    using T = decltype(zero);
    if (!in_place || shape.kind == Kind::all_gather)
      fill_with<T>(*second_, buffers.receive, [](std::size_t) { return std::int64_t{-1}; });
    fill_with<T>(*first_, buffers.send, [&](std::size_t i) { return data.value(rank, i); });
  });
}

std::unique_ptr<Pending> Benchmark::start(const Shape& shape, const Buffers& buffers) {
  switch (shape.kind) {
    case Kind::all_reduce:
      return communicator_.all_reduce(buffers.send, buffers.receive, settings_.operation);
    case Kind::reduce_scatter:
      return communicator_.reduce_scatter(buffers.send, buffers.receive, settings_.operation);
    case Kind::all_gather:
      return communicator_.all_gather(buffers.send, buffers.receive);
    case Kind::broadcast:
      return communicator_.broadcast(buffers.send, buffers.receive, settings_.root);
    case Kind::barrier:
      break;
  }
  return communicator_.barrier();
}

std::int64_t Benchmark::sum_over_ranks(std::int64_t value) {
  const Buffer buffer = word_->buffer(1, DataType::int64);
  word_->write(buffer.data, &value, sizeof value);
  communicator_.all_reduce(buffer, Operation::sum)->wait(settings_.deadline);
  word_->read(&value, buffer.data, sizeof value);
  return value;
}

double Benchmark::time(const Shape& shape, const Buffers& buffers) {
  // On a device, collectives follow each other in a stream, and are waited for at the end. On the host a buffer belongs
  // to one collective at a time.
  const bool in_stream = communicator_.capabilities().device_buffers;
  const auto run = [&](int times) {
    std::vector<std::unique_ptr<Pending>> pendings;
    for (int i = 0; i < times; ++i) {
      pendings.push_back(start(shape, buffers));
      if (!in_stream) pendings.back()->wait(settings_.deadline);
    }
    for (auto& pending : pendings) pending->wait(settings_.deadline);
  };
  run(settings_.warmup);
  communicator_.barrier()->wait(settings_.deadline);
  const auto started = std::chrono::steady_clock::now();
  run(settings_.iterations);
  const auto took = std::chrono::steady_clock::now() - started;
  const std::int64_t all = sum_over_ranks(std::chrono::duration_cast<std::chrono::nanoseconds>(took).count());
  return static_cast<double>(all) / 1e9 / settings_.iterations / communicator_.world_size();
}

std::int64_t Benchmark::count_wrong(const Shape& shape, const Buffers& buffers) {
  start(shape, buffers)->wait(settings_.deadline);
  const Data data(shape.type, shape.ranks, settings_.operation);
  const auto rank = static_cast<std::size_t>(communicator_.rank());
  const auto expected = [&](std::size_t i) {
    if (shape.kind == Kind::reduce_scatter) return data.reduced(rank * shape.count + i);
    if (shape.kind == Kind::all_gather) return data.value(static_cast<int>(i / shape.count), i % shape.count);
    if (shape.kind == Kind::broadcast) return data.value(settings_.root, i);
    return data.reduced(i);
  };
  return sum_over_ranks(with_type(
      shape.type, [&](auto zero) { return differences<decltype(zero)>(*second_, buffers.receive, expected); }));
}

Row Benchmark::measure(const Shape& shape) {
  Row row{shape, {}, {}};
  for (const bool in_place : {false, true}) {
    Measured& measured = in_place ? row.in_place : row.out_of_place;
    const Buffers both = buffers(shape, in_place);
    fill(shape, both, in_place);
    measured.rate = rate_of(shape, time(shape, both));
    if (!settings_.check) continue;
    fill(shape, both, in_place);
    measured.wrong = count_wrong(shape, both);
  }
  return row;
}

}  // namespace ultramarine::collectives::benchmark
