// One mutex guards the whole gang. A collective is an entry in a map by sequence number; the last rank to enter does
// all the work at once, under the mutex, so no buffer is touched after its owner was told of a failure.
#include "collectives/in_process/in_process.h"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <type_traits>
#include <utility>

#include "collectives/bf16.h"
#include "collectives/work.h"

namespace ultramarine::collectives {
namespace {

/// One collective that not every rank has entered yet.
struct Entry {
  std::vector<Call> calls;    // by rank
  std::vector<bool> entered;  // by rank
  int entered_count = 0;
};

/// How values lie in memory, and what they are added in.
struct Bf16 {
  using Stored = std::uint16_t;
  using Sum = float;
  static float load(std::uint16_t value) { return from_bf16(value); }
  static float add(float a, float b) { return a + b; }
  static std::uint16_t store(float value) { return to_bf16(value); }
};
template <class T>
struct Plain {
  using Stored = T;
  using Sum = T;
  static T load(T value) { return value; }
  static T add(T a, T b) {
    if constexpr (std::is_integral_v<T>) {  // wraps around, as NCCL's and MPI's sums do
      return static_cast<T>(static_cast<std::make_unsigned_t<T>>(a) + static_cast<std::make_unsigned_t<T>>(b));
    } else {
      return a + b;
    }
  }
  static T store(T value) { return value; }
};

/// Reduces elements from .. from+count-1 of every rank's `send`, and gives the result to ranks first .. last-1.
template <class Type>
void reduce(const std::vector<Call>& calls, std::size_t from, std::size_t first, std::size_t last) {
  using Stored = typename Type::Stored;
  const bool maximum = calls.front().operation == Operation::max;
  const std::size_t count = calls.front().count;
  constexpr std::size_t block = 2048;  // stays in the first-level cache while every rank's part passes over it
  typename Type::Sum total[block];
  Stored result[block];
  for (std::size_t begin = 0; begin < count; begin += block) {
    const std::size_t size = std::min(block, count - begin);
    for (std::size_t rank = 0; rank < calls.size(); ++rank) {
      const Stored* values = static_cast<const Stored*>(calls[rank].send) + from + begin;
      if (rank == 0) {
        for (std::size_t i = 0; i < size; ++i) total[i] = Type::load(values[i]);
      } else if (maximum) {
        for (std::size_t i = 0; i < size; ++i) total[i] = std::max(total[i], Type::load(values[i]));
      } else {
        for (std::size_t i = 0; i < size; ++i) total[i] = Type::add(total[i], Type::load(values[i]));
      }
    }
    for (std::size_t i = 0; i < size; ++i) result[i] = Type::store(total[i]);
    for (std::size_t rank = first; rank < last; ++rank) {
      std::memcpy(static_cast<Stored*>(calls[rank].receive) + begin, result, size * sizeof(Stored));
    }
  }
}

template <class Type>
void reduce(const std::vector<Call>& calls) {
  if (calls.front().kind == Kind::all_reduce) return reduce<Type>(calls, 0, 0, calls.size());
  // In place, rank r receives into its own part r, which is read for the last time just before.
  for (std::size_t rank = 0; rank < calls.size(); ++rank)
    reduce<Type>(calls, rank * calls.front().count, rank, rank + 1);
}

void copy(void* to, const void* from, std::size_t bytes) {
  if (to != from) std::memcpy(to, from, bytes);
}

void perform(const std::vector<Call>& calls) {
  const Call& first = calls.front();
  const std::size_t bytes = first.bytes();
  if (bytes == 0) return;
  if (first.kind == Kind::broadcast) {
    const Call& root = calls[static_cast<std::size_t>(first.root)];
    for (const Call& call : calls) copy(call.receive, root.send, bytes);
  } else if (first.kind == Kind::all_gather) {
    for (const Call& call : calls) {
      for (std::size_t part = 0; part < calls.size(); ++part)
        copy(static_cast<char*>(call.receive) + part * bytes, calls[part].send, bytes);
    }
  } else if (first.type == DataType::float32) {
    reduce<Plain<float>>(calls);
  } else if (first.type == DataType::bf16) {
    reduce<Bf16>(calls);
  } else {
    reduce<Plain<std::int64_t>>(calls);
  }
}

/// What the ranks share.
class Gang {
 public:
  explicit Gang(int world_size)
      : world_size_(world_size), next_(static_cast<std::size_t>(world_size), 1), left_(next_.size(), false) {}

  int world_size() const { return world_size_; }

  void enter(int rank, const Call& call) {
    const std::int64_t sequence = call.sequence;
    const std::lock_guard lock(mutex_);
    const auto index = static_cast<std::size_t>(rank);
    next_[index] = sequence + 1;
    if (!error_.empty()) return;
    for (std::size_t other = 0; other < left_.size(); ++other) {
      if (left_[other] && next_[other] <= sequence) {
        return fail("rank " + std::to_string(other) + " left before collective " + std::to_string(sequence));
      }
    }
    Entry& entry = entries_[sequence];
    if (entry.calls.empty()) {
      entry.calls.resize(static_cast<std::size_t>(world_size_));
      entry.entered.resize(static_cast<std::size_t>(world_size_));
    }
    for (std::size_t other = 0; other < entry.entered.size(); ++other) {
      if (entry.entered[other] && !matches(entry.calls[other], call)) {
        return fail("collective " + std::to_string(sequence) + " differs: rank " + std::to_string(other) + " called " +
                    describe(entry.calls[other]) + ", rank " + std::to_string(rank) + " called " + describe(call));
      }
    }
    entry.calls[index] = call;
    entry.entered[index] = true;
    if (++entry.entered_count < world_size_) return;
    perform(entry.calls);
    entries_.erase(sequence);
    // Every rank enters its collectives in order, so the one that is complete is always the oldest.
    done_ = sequence;
    changed_.notify_all();
  }

  bool test(std::int64_t sequence) {
    const std::lock_guard lock(mutex_);
    return complete(sequence);
  }

  void wait(int rank, std::int64_t sequence, std::chrono::milliseconds deadline) {
    std::unique_lock lock(mutex_);
    const auto bounded =
        std::min<std::chrono::milliseconds>(deadline, std::chrono::hours(24 * 365));  // now + it must not overflow
    const bool ended = changed_.wait_for(lock, bounded, [&] { return done_ >= sequence || !error_.empty(); });
    if (ended) {
      complete(sequence);
      return;
    }
    std::string missing;
    const Entry& entry = entries_.at(sequence);
    for (std::size_t other = 0; other < entry.entered.size(); ++other) {
      if (!entry.entered[other]) missing += (missing.empty() ? "" : ", ") + std::to_string(other);
    }
    const std::string text = "rank " + std::to_string(rank) + " waited " + std::to_string(deadline.count()) +
                             " ms for collective " + std::to_string(sequence) + ", not entered by rank " + missing;
    fail(text);
    throw DeadlineExceeded(text);
  }

  /// A rank's buffer goes away before the collective was complete.
  void abandon(int rank, std::int64_t sequence) {
    const std::lock_guard lock(mutex_);
    if (done_ < sequence && error_.empty()) {
      fail("rank " + std::to_string(rank) + " abandoned collective " + std::to_string(sequence));
    }
  }

  void leave(int rank) {
    const std::lock_guard lock(mutex_);
    const auto index = static_cast<std::size_t>(rank);
    left_[index] = true;
    if (!error_.empty()) return;
    for (const auto& [sequence, entry] : entries_) {
      if (!entry.entered[index]) {
        return fail("rank " + std::to_string(rank) + " left before collective " + std::to_string(sequence));
      }
    }
  }

 private:
  // Caller holds the mutex for all of these.
  bool complete(std::int64_t sequence) const {
    if (done_ >= sequence) return true;
    if (!error_.empty()) throw CollectiveError(error_);
    return false;
  }
  void fail(std::string text) {
    error_ = std::move(text);
    entries_.clear();
    changed_.notify_all();
  }

  const int world_size_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::int64_t, Entry> entries_;
  std::vector<std::int64_t> next_;  // by rank: sequence number of its next collective
  std::vector<bool> left_;          // by rank
  std::int64_t done_ = 0;           // all collectives up to this one are complete
  std::string error_;               // of the whole gang, once it has failed
};

class InProcessWork final : public Work {
 public:
  InProcessWork(std::shared_ptr<Gang> gang, int rank, std::int64_t sequence)
      : gang_(std::move(gang)), rank_(rank), sequence_(sequence) {}
  bool test() override { return gang_->test(sequence_); }
  void wait(std::chrono::milliseconds deadline) override { gang_->wait(rank_, sequence_, deadline); }
  void give_up(const std::string&) noexcept override { gang_->abandon(rank_, sequence_); }

 private:
  std::shared_ptr<Gang> gang_;
  int rank_;
  std::int64_t sequence_;
};

class InProcessCommunicator final : public Communicator {
 public:
  InProcessCommunicator(std::shared_ptr<Gang> gang, int rank)
      : Communicator("in_process", rank, gang->world_size(),
                     {.host_buffers = true,
                      .device_buffers = false,
                      .non_blocking = true,
                      .can_abort = true,
                      .device = -1,
                      .types = {DataType::float32, DataType::bf16, DataType::int64}}),
        gang_(std::move(gang)) {}
  ~InProcessCommunicator() override { gang_->leave(rank()); }

 private:
  std::unique_ptr<Work> start(const Call& call) override {
    auto work = std::make_unique<InProcessWork>(gang_, rank(), call.sequence);
    gang_->enter(rank(), call);
    return work;
  }

  std::shared_ptr<Gang> gang_;
};

}  // namespace

std::vector<std::unique_ptr<Communicator>> make_in_process(int world_size) {
  if (world_size < 1)
    throw CollectiveError("in_process: a gang has at least one rank, not " + std::to_string(world_size));
  auto gang = std::make_shared<Gang>(world_size);
  std::vector<std::unique_ptr<Communicator>> communicators;
  for (int rank = 0; rank < world_size; ++rank)
    communicators.push_back(std::make_unique<InProcessCommunicator>(gang, rank));
  return communicators;
}

}  // namespace ultramarine::collectives
