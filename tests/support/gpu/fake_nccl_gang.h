// The ranks of one fake NCCL communicator, in one process or in several: shared memory named by the unique id, a
// barrier, and collectives that really move and reduce the bytes, in rank order, so that results are the same run after
// run. It knows memory; streams and NCCL's interface are in fake_nccl.cpp.
//
// Settings, from the environment:
//   FAKE_NCCL_FAULT=rank=1;op=5;kind=die|hang|async|corrupt|slow:200|memory
//       what rank 1 does at its fifth collective (op=0: when it joins): dies by SIGKILL; never comes; reports an
//       asynchronous error; flips one bit of its result; comes 200 ms late; runs out of device memory
//   FAKE_NCCL_PEER_DEATH=hang|remoteerror
//       what the others see when a rank's process is gone. Within a node nothing wakes them, so `hang` is the default
//   FAKE_NCCL_DUPLICATE_DEVICES=1
//       several ranks may use one device
#pragma once

#include <nccl.h>

#include <atomic>
#include <cstdint>
#include <string>

namespace ultramarine::fake {

enum class Collective : std::uint32_t { all_reduce = 1, reduce_scatter, all_gather, broadcast, reduce };
const char* name_of(Collective collective);

/// What all ranks of a communicator must agree on.
struct Agreement {
  Collective collective{};
  std::uint32_t type = 0, operation = 0;
  std::int32_t root = 0;
  std::uint64_t count = 0;
  std::uint64_t sequence = 0;  // from 1
  friend bool operator==(const Agreement&, const Agreement&) = default;
};

std::size_t size_of(ncclDataType_t type);  // 0: a type that the fake doesn't have

struct GangMemory;

/// One rank's part. Not copied; lives until leave().
class GangMember {
 public:
  /// Maps the memory that `id` names. `problem` is not empty when this rank can't join (world size or rank differ from
  /// what others said).
  GangMember(const char* id, int world_size, int rank, int device);
  const std::string& problem() const { return problem_; }
  int rank() const { return rank_; }
  int world_size() const { return world_size_; }

  /// Waits for all ranks; false when given up. Refuses two ranks on one device.
  bool wait_for_all();
  /// Runs one collective with addresses of real memory. False: broken or given up, see error().
  bool run(const Agreement& agreement, const void* in, void* out);

  /// The communicator is broken on all ranks, with this error.
  void break_all(ncclResult_t error, const std::string& text);
  ncclResult_t error() const;
  std::string error_text() const;
  /// From any thread: whoever waits inside returns false.
  void give_up() { given_up_.store(true); }
  bool given_up() const { return given_up_.load(); }
  /// After this nothing else may be called.
  void leave();

  /// The kind of fault that FAKE_NCCL_FAULT wants of this rank at collective `sequence`; empty: none.
  std::string fault_at(std::uint64_t sequence) const;

 private:
  bool barrier();
  void inject(const std::string& fault);

  std::string id_;
  int rank_, world_size_;
  GangMemory* memory_ = nullptr;
  std::uint64_t barriers_ = 0;
  std::atomic<bool> given_up_ = false;
  std::string problem_;
};

}  // namespace ultramarine::fake
