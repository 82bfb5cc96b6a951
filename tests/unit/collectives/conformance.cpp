// The conformance checks, in the order they run. Each rank runs the same sequence, whatever it finds.
#include "conformance.h"

#include <cmath>
#include <cstring>
#include <functional>

#include "collectives/bf16.h"

namespace ultramarine::collectives {
namespace {

constexpr std::chrono::milliseconds longest_wait = std::chrono::seconds(60);

/// bf16 as a value of the tests.
struct Bf16 {
  Bf16() = default;
  explicit Bf16(long value) : bits(to_bf16(static_cast<float>(value))) {}
  std::uint16_t bits = 0;
  bool operator==(const Bf16&) const = default;
};

std::string text_of(Bf16 value) { return std::to_string(from_bf16(value.bits)); }
template <class T>
std::string text_of(T value) {
  return std::to_string(value);
}

template <class T>
constexpr DataType type_of = sizeof(T) == 4   ? DataType::float32
                             : sizeof(T) == 2 ? DataType::bf16
                                              : DataType::int64;
template <class T>
constexpr const char* name_of_type = sizeof(T) == 4   ? " float32"
                                     : sizeof(T) == 2 ? " bf16"
                                                      : " int64";
/// Sums over eight ranks of whole numbers below it are exact in every type.
template <class T>
constexpr std::size_t range = sizeof(T) == 2 ? 25 : 1000;

class Run {
 public:
  Run(Communicator& communicator, const Conformance& conformance)
      : communicator_(communicator),
        conformance_(conformance),
        rank_(communicator.rank()),
        size_(communicator.world_size()),
        ranks_(static_cast<std::size_t>(size_)) {}

  std::vector<std::string> all() {
    identity();
    of_type<float>();
    of_type<std::int64_t>();
    of_type<Bf16>();
    for (const std::size_t count : {std::size_t{1}, std::size_t{7}, std::size_t{4099}, std::size_t{1'000'003}})
      rounding(count);
    if (conformance_.bf16_rounds_once) bf16_rounds_once();
    for (int i = 0; i < 3; ++i) complete(communicator_.barrier(), 0);
    several_in_flight();
    refusals();
    return std::move(problems_);
  }

 private:
  /// An array where the backend wants it.
  template <class T>
  class Array {
   public:
    Array(const Conformance& conformance, const std::vector<T>& values)
        : conformance_(conformance), host_(values), count_(values.size()) {
      if (conformance.residence == Residence::host || count_ == 0) return;
      device_ = conformance.allocate(count_ * sizeof(T));
      conformance.copy_to_device(device_, values.data(), count_ * sizeof(T));
    }
    ~Array() {
      if (device_) conformance_.release(device_);
    }
    Array(const Array&) = delete;
    Array& operator=(const Array&) = delete;

    Buffer buffer() {
      void* data = conformance_.residence == Residence::host ? static_cast<void*>(host_.data()) : device_;
      return {data, count_, type_of<T>, conformance_.residence};
    }
    const std::vector<T>& values() {
      if (device_) conformance_.copy_to_host(host_.data(), device_, count_ * sizeof(T));
      return host_;
    }

   private:
    const Conformance& conformance_;
    std::vector<T> host_;
    std::size_t count_;
    void* device_ = nullptr;
  };

  // 0, 1, odd, not divisible by the number of ranks, around switches of algorithm, and large.
  std::vector<std::size_t> sizes() const { return {0, 1, 2, 3, 17, 1023, 4096 * ranks_ + 1, 16384, 65537, 1'000'003}; }

  void problem(const std::string& text) {
    if (problems_.size() < 20) problems_.push_back("rank " + std::to_string(rank_) + ": " + text);
  }
  void expect(bool good, const std::string& text) {
    if (!good) problem(text);
  }

  /// Runs one collective and checks what it adds to the counters.
  void complete(std::unique_ptr<Pending> pending, std::size_t bytes) {
    pending->wait(longest_wait);
    expect(pending->test(), "a Pending that was waited for is complete");
    expect(pending->error().empty(), "a complete Pending has no error, but: " + pending->error());
    started(bytes);
    const Counters counters = communicator_.counters();
    expect(counters.collectives == expected_.collectives, "collectives counted " +
                                                              std::to_string(counters.collectives) + ", not " +
                                                              std::to_string(expected_.collectives));
    expect(counters.bytes == expected_.bytes,
           "bytes counted " + std::to_string(counters.bytes) + ", not " + std::to_string(expected_.bytes));
  }
  void started(std::size_t bytes) {
    expected_.collectives += 1;
    expected_.bytes += static_cast<std::int64_t>(bytes);
  }

  template <class T>
  void compare(const std::vector<T>& values, const std::string& name, const std::function<long(std::size_t)>& expected,
               std::size_t first = 0) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const T right = static_cast<T>(expected(first + i));
      if (!(values[i] == right)) {
        return problem(name + name_of_type<T> + " of " + std::to_string(values.size()) + ": element " +
                       std::to_string(i) + " is " + text_of(values[i]) + ", not " + text_of(right));
      }
    }
  }

  void identity() {
    expect(rank_ >= 0 && rank_ < size_, "rank is in the world");
    const Capabilities& can = communicator_.capabilities();
    expect(conformance_.residence == Residence::host ? can.host_buffers : can.device_buffers, "works on this memory");
    expect(can.types.size() == 3, "all types");
    expected_ = communicator_.counters();
  }

  /// Of rank `rank`: small whole numbers; every element tells its position and rank. With `negative`, odd elements are
  /// negative, so that a maximum against a zeroed buffer shows.
  template <class T>
  static std::vector<T> input(std::size_t count, int rank, bool negative = false) {
    std::vector<T> values(count);
    for (std::size_t i = 0; i < count; ++i) {
      const long value = static_cast<long>(i % range<T>) + rank;
      values[i] = static_cast<T>(negative && i % 2 == 1 ? -value - 1 : value);
    }
    return values;
  }
  template <class T>
  std::function<long(std::size_t)> reduced(Operation operation) const {
    return [operation, n = static_cast<long>(size_)](std::size_t i) {
      const long value = static_cast<long>(i % range<T>);
      if (operation == Operation::sum) return value * n + n * (n - 1) / 2;
      return i % 2 == 1 ? -value - 1 : value + n - 1;
    };
  }

  template <class T>
  void of_type() {
    for (const std::size_t count : sizes()) {
      for (const Operation operation : {Operation::sum, Operation::max}) {
        for (const bool in_place : {true, false}) all_reduce<T>(count, operation, in_place);
      }
    }
    for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{7}, std::size_t{33'333}}) {
      for (const bool in_place : {true, false}) {
        reduce_scatter<T>(count, Operation::sum, in_place);
        reduce_scatter<T>(count, Operation::max, in_place);
        all_gather<T>(count, in_place);
        for (int root = 0; root < size_; ++root) broadcast<T>(count, root, in_place);
      }
    }
  }

  static std::string form(const char* name, bool in_place) {
    return std::string(name) + (in_place ? " in place," : " out of place,");
  }

  template <class T>
  void all_reduce(std::size_t count, Operation operation, bool in_place) {
    const std::vector<T> own = input<T>(count, rank_, operation == Operation::max);
    Array<T> send(conformance_, own);
    Array<T> receive(conformance_, std::vector<T>(in_place ? 0 : count));
    complete(in_place ? communicator_.all_reduce(send.buffer(), operation)
                      : communicator_.all_reduce(send.buffer(), receive.buffer(), operation),
             count * sizeof(T));
    const std::string name = form(operation == Operation::sum ? "sum" : "max", in_place);
    compare((in_place ? send : receive).values(), name, reduced<T>(operation));
    if (!in_place) expect(send.values() == own, name + " leaves what it sends alone");
  }

  template <class T>
  void reduce_scatter(std::size_t count, Operation operation, bool in_place) {
    const std::vector<T> own = input<T>(count * ranks_, rank_, operation == Operation::max);
    Array<T> send(conformance_, own);
    Array<T> apart(conformance_, std::vector<T>(in_place ? 0 : count));
    const Buffer receive = in_place ? part_of(send.buffer(), rank_, size_) : apart.buffer();
    complete(communicator_.reduce_scatter(send.buffer(), receive, operation), count * ranks_ * sizeof(T));
    const std::string name = form(operation == Operation::sum ? "reduce_scatter sum" : "reduce_scatter max", in_place);
    const std::size_t first = static_cast<std::size_t>(rank_) * count;
    std::vector<T> result = (in_place ? send : apart).values();
    if (in_place) {
      const auto begin = result.begin() + static_cast<std::ptrdiff_t>(first);
      result = std::vector<T>(begin, begin + static_cast<std::ptrdiff_t>(count));
    } else {
      expect(send.values() == own, name + " leaves what it sends alone");
    }
    compare(result, name, reduced<T>(operation), first);
  }

  template <class T>
  void all_gather(std::size_t count, bool in_place) {
    const std::vector<T> own = input<T>(count, rank_);
    std::vector<T> whole(count * ranks_);
    if (in_place) std::copy(own.begin(), own.end(), whole.begin() + static_cast<std::ptrdiff_t>(count) * rank_);
    Array<T> receive(conformance_, whole);
    Array<T> apart(conformance_, in_place ? std::vector<T>() : own);
    const Buffer send = in_place ? part_of(receive.buffer(), rank_, size_) : apart.buffer();
    complete(communicator_.all_gather(send, receive.buffer()), count * ranks_ * sizeof(T));
    compare(receive.values(), form("all_gather", in_place),
            [count](std::size_t i) { return static_cast<long>(i % count % range<T>) + static_cast<long>(i / count); });
  }

  template <class T>
  void broadcast(std::size_t count, int root, bool in_place) {
    const std::vector<T> own = input<T>(count, rank_);
    Array<T> send(conformance_, own);
    Array<T> receive(conformance_, std::vector<T>(in_place ? 0 : count));
    complete(in_place ? communicator_.broadcast(send.buffer(), root)
                      : communicator_.broadcast(send.buffer(), receive.buffer(), root),
             count * sizeof(T));
    const std::string name = form("broadcast", in_place);
    compare((in_place ? send : receive).values(), name,
            [root](std::size_t i) { return static_cast<long>(i % range<T>) + root; });
    if (!in_place) expect(send.values() == own, name + " leaves what it sends alone");
  }

  /// The words are the same on every rank: their maximum over ranks and that of their complement are one's own.
  void expect_same_everywhere(const std::vector<std::int64_t>& words, const std::string& what) {
    std::vector<std::int64_t> both = words;
    for (const std::int64_t word : words) both.push_back(~word);
    Array<std::int64_t> most(conformance_, both);
    complete(communicator_.all_reduce(most.buffer(), Operation::max), both.size() * 8);
    expect(most.values() == both, what + " has the same bits on every rank");
  }

  /// Sums that must round: all ranks hold the same bits, a second run gives them again, and so does one out of place.
  void rounding(std::size_t count) {
    std::vector<float> values(count);
    std::vector<Bf16> halves(count);
    for (std::size_t i = 0; i < count; ++i) {
      values[i] = std::sin(static_cast<float>(i) * 0.37F + static_cast<float>(rank_)) *
                  std::pow(10.0F, static_cast<float>(rank_ % 5));
      halves[i].bits = to_bf16(values[i]);
    }
    const auto words_of = [](const auto& reduced) {
      std::vector<std::int64_t> words(reduced.size());
      for (std::size_t i = 0; i < reduced.size(); ++i) std::memcpy(&words[i], &reduced[i], sizeof reduced[i]);
      return words;
    };
    const auto same = [&](const auto& input_values, const std::string& what) {
      using T = std::decay_t<decltype(input_values[0])>;
      Array<T> once(conformance_, input_values), again(conformance_, input_values), send(conformance_, input_values),
          apart(conformance_, std::vector<T>(count));
      complete(communicator_.all_reduce(once.buffer(), Operation::sum), count * sizeof(T));
      complete(communicator_.all_reduce(again.buffer(), Operation::sum), count * sizeof(T));
      complete(communicator_.all_reduce(send.buffer(), apart.buffer(), Operation::sum), count * sizeof(T));
      const auto words = words_of(once.values());
      expect(words == words_of(again.values()), "a repeated " + what + " has the same bits");
      expect(words == words_of(apart.values()), "out of place, a " + what + " has the same bits");
      expect_same_everywhere(words, "a " + what);
    };
    same(values, "sum of " + std::to_string(count) + " float32");
    same(halves, "sum of " + std::to_string(count) + " bf16");
  }

  /// 256 + 1 + 1 is 258, a bf16; rounded after each addition it would be 256 + 1 -> 256, + 1 -> 256. And 256 + 1 lies
  /// halfway between 256 and 258, 258 + 1 between 258 and 260: to even.
  void bf16_rounds_once() {
    std::vector<Bf16> values(3 * ranks_);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto rank = static_cast<std::size_t>(rank_);
      const long large = i % 3 == 1 ? 258 : 256;
      values[i] = Bf16(rank == 0 ? large : i % 3 == 2 || rank == 1 ? 1 : 0);
    }
    const auto expected = [n = static_cast<long>(size_)](std::size_t i) -> long {
      if (n == 1) return i % 3 == 1 ? 258 : 256;
      if (i % 3 == 0) return 256;      // 257
      if (i % 3 == 1) return 260;      // 259
      const long sum = 256 + (n - 1);  // 256 + 1 + 1 ...
      const long low = sum / 2 * 2;    // neighbours are 2 apart up to 512
      return sum == low ? sum : low % 4 == 0 ? low : low + 2;
    };
    Array<Bf16> reduced_values(conformance_, values), scattered(conformance_, std::vector<Bf16>(3)),
        send(conformance_, values);
    complete(communicator_.all_reduce(reduced_values.buffer(), Operation::sum), values.size() * 2);
    compare(reduced_values.values(), "a sum that rounds once,", expected);
    complete(communicator_.reduce_scatter(send.buffer(), scattered.buffer(), Operation::sum), values.size() * 2);
    compare(scattered.values(), "a reduce_scatter that rounds once,", expected);
  }

  /// Started one after the other, waited for in the opposite order.
  void several_in_flight() {
    std::vector<std::unique_ptr<Array<float>>> sums, wholes, parts;
    std::vector<std::unique_ptr<Pending>> pendings;
    for (std::size_t i = 0; i < 8; ++i) {
      const std::size_t count = 1000 * i + 1;
      sums.push_back(std::make_unique<Array<float>>(conformance_, input<float>(count, rank_)));
      pendings.push_back(communicator_.all_reduce(sums.back()->buffer(), Operation::sum));
      started(count * 4);
      parts.push_back(std::make_unique<Array<float>>(conformance_, input<float>(count, rank_)));
      wholes.push_back(std::make_unique<Array<float>>(conformance_, std::vector<float>(count * ranks_)));
      pendings.push_back(communicator_.all_gather(parts.back()->buffer(), wholes.back()->buffer()));
      started(count * ranks_ * 4);
    }
    Array<std::int64_t> word(conformance_, {rank_ == 0 ? 42 : 0});
    auto last = communicator_.broadcast(word.buffer(), 0);
    complete(std::move(last), 8);
    expect(word.values()[0] == 42, "a broadcast behind others in flight");
    for (std::size_t i = pendings.size(); i-- > 0;) pendings[i]->wait(longest_wait);
    for (std::size_t i = 0; i < sums.size(); ++i) {
      compare(sums[i]->values(), "sum in flight,", reduced<float>(Operation::sum));
      const std::size_t count = 1000 * i + 1;
      compare(wholes[i]->values(), "all_gather in flight,", [count](std::size_t at) {
        return static_cast<long>(at % count % range<float>) + static_cast<long>(at / count);
      });
    }
  }

  /// What can be seen to be wrong on this rank alone is refused before it counts.
  void refusals() {
    const Counters before = communicator_.counters();
    const auto refused = [&](const std::string& what, const std::function<std::unique_ptr<Pending>()>& call) {
      try {
        call();
        problem(what + " isn't refused");
      } catch (const CollectiveError&) {
      }
    };
    Array<float> array(conformance_, std::vector<float>(4 * ranks_));
    const Buffer whole = array.buffer();
    Buffer some = whole;
    some.count = 2;
    for (const int root : {-1, size_}) {
      refused("a broadcast from rank " + std::to_string(root), [&] { return communicator_.broadcast(some, root); });
    }
    const Capabilities& can = communicator_.capabilities();
    Buffer elsewhere = some;
    elsewhere.residence = conformance_.residence == Residence::host ? Residence::device : Residence::host;
    if (elsewhere.residence == Residence::host ? !can.host_buffers : !can.device_buffers) {
      refused("memory elsewhere", [&] { return communicator_.all_reduce(elsewhere, Operation::sum); });
    }
    Buffer absent = some;
    absent.data = nullptr;
    refused("a null pointer", [&] { return communicator_.all_reduce(absent, Operation::sum); });
    Buffer other_type = part_of(whole, 1, 2);
    other_type.type = DataType::bf16;
    other_type.count = 2;
    refused("another type", [&] { return communicator_.all_reduce(some, other_type, Operation::sum); });
    Buffer three = some;
    three.count = 3;
    refused("another count", [&] { return communicator_.all_reduce(some, three, Operation::sum); });
    Buffer shifted = some;
    shifted.data = static_cast<float*>(some.data) + 1;
    refused("an overlap", [&] { return communicator_.all_reduce(some, shifted, Operation::sum); });
    refused("a part that is no part", [&] { return communicator_.reduce_scatter(whole, three, Operation::sum); });
    refused("a whole that is no whole", [&] { return communicator_.all_gather(three, whole); });
    if (size_ > 1) {
      const Buffer wrong = part_of(whole, (rank_ + 1) % size_, size_);
      refused("another rank's part", [&] { return communicator_.reduce_scatter(whole, wrong, Operation::sum); });
      refused("another rank's part", [&] { return communicator_.all_gather(wrong, whole); });
    }
    expect(communicator_.counters().collectives == before.collectives, "a refused call isn't counted");
    complete(communicator_.barrier(), 0);
  }

  Communicator& communicator_;
  const Conformance& conformance_;
  int rank_, size_;
  std::size_t ranks_;
  Counters expected_;
  std::vector<std::string> problems_;
};

}  // namespace

std::vector<std::string> run_conformance(Communicator& communicator, const Conformance& conformance) {
  return Run(communicator, conformance).all();
}

}  // namespace ultramarine::collectives
