// What a backend implements: it is handed a checked Call and gives back the Work under way. Texts that a Work throws
// say only the reason; rank, operation, sequence number and flight record are added by Pending.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "collectives/communicator.h"

namespace ultramarine::collectives {

/// One collective as a rank called it. `count` is what MPI and NCCL mean by it: elements of one rank's part for
/// reduce_scatter (received) and all_gather (sent), of the whole buffer otherwise.
struct Call {
  Kind kind = Kind::barrier;
  Operation operation = Operation::sum;
  int root = 0;
  const void* send = nullptr;
  void* receive = nullptr;
  std::size_t count = 0;
  DataType type = DataType::float32;
  Residence residence = Residence::host;
  Stream stream;
  std::int64_t sequence = 0;  // on this rank, from 1

  std::size_t bytes() const { return count * size_of(type); }
};

class Work {
 public:
  virtual ~Work() = default;
  /// True once complete. Throws CollectiveError; isn't called again afterwards, nor after true.
  virtual bool test() = 0;
  /// Returns when complete. Throws DeadlineExceeded, CollectiveError.
  virtual void wait(std::chrono::milliseconds deadline) = 0;
  /// The caller will never ask again, though it isn't complete: its deadline passed or its Pending was destroyed. A
  /// backend that can't abort says `why` on stderr and ends the process.
  virtual void give_up(const std::string& why) noexcept = 0;
};

std::string_view name_of(Kind kind);            // all_reduce
std::string_view name_of(Operation operation);  // sum
std::string_view name_of(DataType type);        // bf16
bool reduces(Kind kind);
/// `all_reduce sum of 3 float32`, `broadcast of 2 int64 from rank 1`, `barrier`.
std::string describe(const Call& call);
/// Whether two ranks' calls can be the same collective.
bool matches(const Call& a, const Call& b);

}  // namespace ultramarine::collectives
