// The conformance checks, in the order they run. Each rank runs the same sequence, whatever it finds.
#include "conformance.h"

#include <cmath>
#include <cstring>

namespace ultramarine::collectives {
namespace {

constexpr std::chrono::milliseconds deadline = std::chrono::seconds(60);

class Run {
 public:
  explicit Run(Communicator& communicator)
      : communicator_(communicator), rank_(communicator.rank()), size_(communicator.world_size()) {}

  std::vector<std::string> all() {
    identity();
    for (const std::size_t count : sizes()) {
      sum<float>(count);
      sum<std::int64_t>(count);
      maximum<float>(count);
      maximum<std::int64_t>(count);
    }
    for (const std::size_t count : {std::size_t{1}, std::size_t{7}, std::size_t{4099}, std::size_t{1'000'003}})
      rounding(count);
    for (int root = 0; root < size_; ++root) broadcast(root);
    barrier();
    several_in_flight();
    refusals();
    return std::move(problems_);
  }

 private:
  // 0, 1, odd, not divisible by the number of ranks, around switches of algorithm, and large.
  std::vector<std::size_t> sizes() const {
    const auto ranks = static_cast<std::size_t>(size_);
    return {0, 1, 2, 3, 17, 1023, 4096 * ranks + 1, 16384, 65537, 1'000'003};
  }

  void problem(const std::string& text) {
    if (problems_.size() < 20) problems_.push_back("rank " + std::to_string(rank_) + ": " + text);
  }
  void expect(bool good, const std::string& text) {
    if (!good) problem(text);
  }
  template <class T>
  static constexpr DataType type_of = sizeof(T) == 4 ? DataType::float32 : DataType::int64;
  template <class T>
  static Buffer buffer_of(std::vector<T>& values) {
    return {values.data(), values.size(), type_of<T>, Residence::host};
  }

  /// Runs one collective and checks what it adds to the counters.
  void complete(std::unique_ptr<Pending> pending, std::int64_t bytes) {
    pending->wait(deadline);
    expect(pending->test(), "a Pending that was waited for is complete");
    expect(pending->error().empty(), "a complete Pending has no error, but: " + pending->error());
    expected_.collectives += 1;
    expected_.bytes += bytes;
    const Counters counters = communicator_.counters();
    expect(counters.collectives == expected_.collectives, "collectives counted " +
                                                              std::to_string(counters.collectives) + ", not " +
                                                              std::to_string(expected_.collectives));
    expect(counters.bytes == expected_.bytes,
           "bytes counted " + std::to_string(counters.bytes) + ", not " + std::to_string(expected_.bytes));
  }

  template <class T, class Expected>
  void compare(const std::vector<T>& values, const std::string& name, Expected expected) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (values[i] != expected(i)) {
        return problem(name + " of " + std::to_string(values.size()) + ": element " + std::to_string(i) + " is " +
                       std::to_string(values[i]) + ", not " + std::to_string(expected(i)));
      }
    }
  }

  void identity() {
    expect(rank_ >= 0 && rank_ < size_, "rank is in the world");
    expect(communicator_.capabilities().host_buffers, "works on host memory");
    expect(communicator_.capabilities().types.size() == 2, "both types");
    expected_ = communicator_.counters();
  }

  template <class T>
  std::vector<T> input(std::size_t count) const {
    std::vector<T> values(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<T>(i % 1000 + static_cast<std::size_t>(rank_));
    return values;
  }

  template <class T>
  void sum(std::size_t count) {
    std::vector<T> values = input<T>(count);
    const auto bytes = static_cast<std::int64_t>(count * sizeof(T));
    complete(communicator_.all_reduce(buffer_of(values), Operation::sum), bytes);
    const int ranks = size_;
    compare(values, std::string("sum ") + (sizeof(T) == 4 ? "float32" : "int64"), [ranks](std::size_t i) {
      return static_cast<T>(static_cast<long>(i % 1000) * ranks + static_cast<long>(ranks) * (ranks - 1) / 2);
    });
  }

  template <class T>
  void maximum(std::size_t count) {
    std::vector<T> values = input<T>(count);
    // Negative on odd elements, so that a maximum against a zeroed buffer shows.
    for (std::size_t i = 1; i < count; i += 2) values[i] = -values[i] - 1;
    const auto bytes = static_cast<std::int64_t>(count * sizeof(T));
    complete(communicator_.all_reduce(buffer_of(values), Operation::max), bytes);
    const int ranks = size_;
    compare(values, std::string("max ") + (sizeof(T) == 4 ? "float32" : "int64"), [ranks](std::size_t i) {
      const auto value = static_cast<long>(i % 1000);
      return static_cast<T>(i % 2 == 0 ? value + ranks - 1 : -value - 1);
    });
  }

  /// Sums that must round: all ranks hold the same bits, and a second run gives them again.
  void rounding(std::size_t count) {
    std::vector<float> once(count);
    for (std::size_t i = 0; i < count; ++i) {
      once[i] = std::sin(static_cast<float>(i) * 0.37F + static_cast<float>(rank_)) *
                std::pow(10.0F, static_cast<float>(rank_ % 5));
    }
    std::vector<float> again = once;
    const auto bytes = static_cast<std::int64_t>(count * sizeof(float));
    complete(communicator_.all_reduce(buffer_of(once), Operation::sum), bytes);
    complete(communicator_.all_reduce(buffer_of(again), Operation::sum), bytes);
    expect(std::memcmp(once.data(), again.data(), count * sizeof(float)) == 0,
           "a repeated sum of " + std::to_string(count) + " has the same bits");
    // The maximum over ranks of the bits and of their complement: equal to one's own on every rank only if all are the
    // same.
    std::vector<std::int64_t> bits(2 * count);
    for (std::size_t i = 0; i < count; ++i) {
      std::uint32_t word = 0;
      std::memcpy(&word, &once[i], 4);
      bits[i] = word;
      bits[count + i] = ~static_cast<std::int64_t>(word);
    }
    std::vector<std::int64_t> most = bits;
    complete(communicator_.all_reduce(buffer_of(most), Operation::max), static_cast<std::int64_t>(most.size() * 8));
    expect(bits == most, "a sum of " + std::to_string(count) + " has the same bits on every rank");
  }

  void broadcast(int root) {
    for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{33'333}}) {
      std::vector<std::int64_t> values = input<std::int64_t>(count);
      complete(communicator_.broadcast(buffer_of(values), root), static_cast<std::int64_t>(count * 8));
      compare(values, "broadcast from " + std::to_string(root),
              [root](std::size_t i) { return static_cast<std::int64_t>(i % 1000) + root; });
      std::vector<float> floats = input<float>(count);
      complete(communicator_.broadcast(buffer_of(floats), root), static_cast<std::int64_t>(count * 4));
      compare(floats, "broadcast from " + std::to_string(root),
              [root](std::size_t i) { return static_cast<float>(static_cast<int>(i % 1000) + root); });
    }
  }

  void barrier() {
    for (int i = 0; i < 3; ++i) complete(communicator_.barrier(), 0);
  }

  /// Started one after the other, waited for in the opposite order.
  void several_in_flight() {
    std::vector<std::vector<float>> buffers;
    std::vector<std::unique_ptr<Pending>> pendings;
    for (std::size_t i = 0; i < 8; ++i) buffers.push_back(input<float>(1000 * i + 1));
    for (auto& values : buffers) {
      pendings.push_back(communicator_.all_reduce(buffer_of(values), Operation::sum));
      expected_.collectives += 1;
      expected_.bytes += static_cast<std::int64_t>(values.size() * 4);
    }
    std::vector<std::int64_t> word = {rank_ == 0 ? 42 : 0};
    auto last = communicator_.broadcast(buffer_of(word), 0);
    complete(std::move(last), 8);
    expect(word[0] == 42, "a broadcast behind all-reduces in flight");
    for (std::size_t i = pendings.size(); i-- > 0;) pendings[i]->wait(deadline);
    for (auto& values : buffers) {
      const int ranks = size_;
      compare(values, "sum in flight", [ranks](std::size_t i) {
        return static_cast<float>(static_cast<long>(i % 1000) * ranks + static_cast<long>(ranks) * (ranks - 1) / 2);
      });
    }
  }

  /// What can be seen to be wrong on this rank alone is refused before it counts.
  void refusals() {
    const Counters before = communicator_.counters();
    float value = 0;
    for (const int root : {-1, size_}) {
      try {
        communicator_.broadcast({&value, 1, DataType::float32, Residence::host}, root);
        problem("a broadcast from rank " + std::to_string(root) + " is refused");
      } catch (const CollectiveError&) {
      }
    }
    if (!communicator_.capabilities().device_buffers) {
      try {
        communicator_.all_reduce({&value, 1, DataType::float32, Residence::device}, Operation::sum);
        problem("device memory is refused");
      } catch (const CollectiveError&) {
      }
    }
    expect(communicator_.counters().collectives == before.collectives, "a refused call isn't counted");
    complete(communicator_.barrier(), 0);
  }

  Communicator& communicator_;
  int rank_, size_;
  Counters expected_;
  std::vector<std::string> problems_;
};

}  // namespace

std::vector<std::string> run_conformance(Communicator& communicator) { return Run(communicator).all(); }

}  // namespace ultramarine::collectives
