// One mutex guards the whole gang. A collective is an entry in a map by sequence number; the last rank to enter does
// all the work at once, under the mutex, so no buffer is touched after its owner was told of a failure.
#include "collectives/in_process/in_process.h"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "collectives/counting.h"

namespace ultramarine::collectives {
namespace {

enum class Kind { all_reduce_sum, all_reduce_max, broadcast, barrier };

struct Call {
  Kind kind = Kind::barrier;
  Buffer buffer;
  int root = 0;
};

std::string describe(const Call& call) {
  static constexpr const char* names[] = {"all_reduce sum", "all_reduce max", "broadcast", "barrier"};
  std::string text = names[static_cast<int>(call.kind)];
  if (call.kind == Kind::barrier) return text;
  text += " of " + std::to_string(call.buffer.count);
  text += call.buffer.type == DataType::float32 ? " float32" : " int64";
  if (call.kind == Kind::broadcast) text += " from rank " + std::to_string(call.root);
  return text;
}

bool matches(const Call& a, const Call& b) {
  return a.kind == b.kind && a.root == b.root && a.buffer.count == b.buffer.count && a.buffer.type == b.buffer.type;
}

/// One collective that not every rank has entered yet.
struct Entry {
  std::vector<Call> calls;    // by rank
  std::vector<bool> entered;  // by rank
  int entered_count = 0;
};

template <class T>
void reduce(const std::vector<Call>& calls, bool maximum) {
  const std::size_t count = calls.front().buffer.count;
  constexpr std::size_t block = 2048;  // stays in the first-level cache while every rank's part passes over it
  T total[block];
  for (std::size_t begin = 0; begin < count; begin += block) {
    const std::size_t size = std::min(block, count - begin);
    const auto part = [begin](const Call& call) { return static_cast<T*>(call.buffer.data) + begin; };
    std::memcpy(total, part(calls.front()), size * sizeof(T));
    for (std::size_t rank = 1; rank < calls.size(); ++rank) {
      const T* values = part(calls[rank]);
      if (maximum) {
        for (std::size_t i = 0; i < size; ++i) total[i] = std::max(total[i], values[i]);
      } else {
        for (std::size_t i = 0; i < size; ++i) total[i] += values[i];
      }
    }
    for (const Call& call : calls) std::memcpy(part(call), total, size * sizeof(T));
  }
}

void perform(const std::vector<Call>& calls) {
  const Call& first = calls.front();
  if (first.buffer.count == 0 || first.kind == Kind::barrier) return;
  if (first.kind == Kind::broadcast) {
    const Call& root = calls[static_cast<std::size_t>(first.root)];
    for (const Call& call : calls) {
      if (call.buffer.data != root.buffer.data) {
        std::memcpy(call.buffer.data, root.buffer.data, static_cast<std::size_t>(bytes_of(root.buffer)));
      }
    }
  } else if (first.buffer.type == DataType::float32) {
    reduce<float>(calls, first.kind == Kind::all_reduce_max);
  } else {
    reduce<std::int64_t>(calls, first.kind == Kind::all_reduce_max);
  }
}

/// What the ranks share.
class Gang {
 public:
  explicit Gang(int world_size)
      : world_size_(world_size), next_(static_cast<std::size_t>(world_size), 1), left_(next_.size(), false) {}

  int world_size() const { return world_size_; }

  void enter(int rank, std::int64_t sequence, const Call& call) {
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

  void wait(int rank, std::int64_t sequence, const std::string& what, std::chrono::milliseconds deadline) {
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
    const std::string text = what + " (collective " + std::to_string(sequence) + "): rank " + std::to_string(rank) +
                             " waited " + std::to_string(deadline.count()) + " ms; not entered by rank " + missing;
    fail(text);
    throw DeadlineExceeded("in_process: " + text);
  }

  std::string error(std::int64_t sequence) {
    const std::lock_guard lock(mutex_);
    return done_ >= sequence ? "" : error_;
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
    if (!error_.empty()) throw CollectiveError("in_process: " + error_);
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

class InProcessPending final : public Pending {
 public:
  InProcessPending(std::shared_ptr<Gang> gang, int rank, std::int64_t sequence, std::string what)
      : gang_(std::move(gang)), rank_(rank), sequence_(sequence), what_(std::move(what)) {}
  ~InProcessPending() override { gang_->abandon(rank_, sequence_); }
  bool test() override { return gang_->test(sequence_); }
  void wait(std::chrono::milliseconds deadline) override { gang_->wait(rank_, sequence_, what_, deadline); }
  std::string error() const override { return gang_->error(sequence_); }

 private:
  std::shared_ptr<Gang> gang_;
  int rank_;
  std::int64_t sequence_;
  std::string what_;
};

class InProcessCommunicator final : public Communicator {
 public:
  InProcessCommunicator(std::shared_ptr<Gang> gang, int rank) : gang_(std::move(gang)), rank_(rank) {}
  ~InProcessCommunicator() override { gang_->leave(rank_); }

  int rank() const override { return rank_; }
  int world_size() const override { return gang_->world_size(); }
  std::string_view backend() const override { return "in_process"; }
  Capabilities capabilities() const override {
    return {.host_buffers = true,
            .device_buffers = false,
            .non_blocking = true,
            .can_abort = true,
            .types = {DataType::float32, DataType::int64}};
  }
  Counters counters() const override { return counting_.read(); }

  std::unique_ptr<Pending> all_reduce(Buffer buffer, Operation operation, Stream) override {
    return start({operation == Operation::sum ? Kind::all_reduce_sum : Kind::all_reduce_max, buffer, 0});
  }
  std::unique_ptr<Pending> broadcast(Buffer buffer, int root, Stream) override {
    if (root < 0 || root >= world_size()) {
      throw CollectiveError("in_process: broadcast from rank " + std::to_string(root) + " of " +
                            std::to_string(world_size()));
    }
    return start({Kind::broadcast, buffer, root});
  }
  std::unique_ptr<Pending> barrier(Stream) override { return start({}); }

 private:
  std::unique_ptr<Pending> start(const Call& call) {
    if (call.buffer.residence != Residence::host) throw CollectiveError("in_process: works on host memory only");
    const std::int64_t sequence = counting_.started(bytes_of(call.buffer));
    auto pending = std::make_unique<InProcessPending>(gang_, rank_, sequence, describe(call));
    gang_->enter(rank_, sequence, call);
    return pending;
  }

  std::shared_ptr<Gang> gang_;
  int rank_;
  Counting counting_;
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
