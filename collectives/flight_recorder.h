// The last 1,000 collectives of a rank, kept in memory and written to a file when one of them fails or passes its
// deadline: with the files of all ranks side by side one sees who stopped where. Every communicator has one.
//
// The file is flight-rank-R.jsonl (of a job: flight-job-J-attempt-A-rank-R.jsonl) in the folder ULTRA_FLIGHT_RECORD; without
// it, a job's is in its working directory, where it outlives the job, and other processes write none. First line: what failed;
// then one line for each collective, oldest first. Times are microseconds since the Unix epoch.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/work.h"

namespace ultramarine::collectives {

class FlightRecorder {
 public:
  static constexpr std::size_t capacity = 1000;

  FlightRecorder(std::string_view backend, int rank, int world_size);

  /// One collective is about to start; returns its sequence number, from 1. `bytes`: of the larger buffer.
  std::int64_t started(const Call& call, std::size_t bytes);
  void complete(std::int64_t sequence);
  /// Marks the collective failed, and writes the file at the first failure in the communicator's life. Returns the
  /// whole text for people: `mpi: rank 0 of 2: all_reduce sum of 1 float32 (collective 3): REASON; flight record:
  /// FILE`.
  std::string failed(std::int64_t sequence, const std::string& reason);
  Counters counters() const;

 private:
  enum class State { under_way, complete, failed };
  struct Entry {
    Call call;
    std::size_t bytes = 0;
    std::int64_t started_us = 0, ended_us = 0;
    State state = State::under_way;
  };
  // The caller holds the mutex for these.
  Entry* find(std::int64_t sequence);
  void write(std::int64_t sequence, const std::string& reason);

  const std::string_view backend_;
  const int rank_, world_size_;
  mutable std::mutex mutex_;
  std::vector<Entry> entries_;  // a ring: sequence s is at (s - 1) % capacity
  Counters counters_;
  bool has_failed_ = false;
  std::string where_;  // the end of error texts, once it has failed
};

/// Where flight records of this process go; empty = nowhere.
std::string flight_record_folder();

}  // namespace ultramarine::collectives
