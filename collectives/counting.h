// The two numbers that every backend keeps for `Communicator::counters`. Readable from any thread.
#pragma once

#include <atomic>

#include "collectives/communicator.h"

namespace ultramarine::collectives {

class Counting {
 public:
  /// One collective with a payload of `bytes` was started; returns its sequence number on this rank, from 1.
  std::int64_t started(std::int64_t bytes) {
    bytes_.fetch_add(bytes, std::memory_order_relaxed);
    return collectives_.fetch_add(1, std::memory_order_relaxed) + 1;
  }
  Counters read() const {
    return {collectives_.load(std::memory_order_relaxed), bytes_.load(std::memory_order_relaxed)};
  }

 private:
  std::atomic<std::int64_t> collectives_ = 0;
  std::atomic<std::int64_t> bytes_ = 0;
};

inline std::int64_t bytes_of(const Buffer& buffer) {
  return static_cast<std::int64_t>(buffer.count * size_of(buffer.type));
}

}  // namespace ultramarine::collectives
