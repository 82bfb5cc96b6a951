// A rank's handle to its gang's collectives: how ranks talk to ranks. One interface, one folder per backend, one
// conformance test for all of them; `in_process` (threads) is the reference. Depends on nothing of ours.
//
// What is the same for every backend is done here, once: calls are checked, counted, and written into the flight
// record. A backend only starts work (collectives/work.h).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace ultramarine::collectives {

/// bf16: the upper half of a float32 (collectives/bf16.h). A sum of bf16 is added in float32 and rounded once, to
/// nearest even, by `in_process` and `mpi`; `nccl` rounds as NCCL does.
enum class DataType { float32, bf16, int64 };
enum class Operation { sum, max };
enum class Residence { host, device };

constexpr std::size_t size_of(DataType type) { return type == DataType::float32 ? 4 : type == DataType::bf16 ? 2 : 8; }

/// Memory that a collective works on. It belongs to the caller and must stay until the Pending is done.
struct Buffer {
  void* data = nullptr;
  std::size_t count = 0;  // elements, not bytes
  DataType type = DataType::float32;
  Residence residence = Residence::host;
};

inline std::size_t bytes_of(const Buffer& buffer) { return buffer.count * size_of(buffer.type); }

/// Part `index` of `parts` equal ones: where reduce_scatter and all_gather work in place.
inline Buffer part_of(Buffer whole, int index, int parts) {
  whole.count /= static_cast<std::size_t>(parts);
  whole.data = static_cast<char*>(whole.data) + static_cast<std::size_t>(index) * bytes_of(whole);
  return whole;
}

/// An opaque queue of device work that the collective is ordered after and before (cudaStream_t for nccl; null on the
/// host).
struct Stream {
  void* handle = nullptr;
};

/// What a backend can do; callers choose by this, never by a backend's name.
struct Capabilities {
  bool host_buffers = false;
  bool device_buffers = false;
  bool non_blocking = false;  // a collective progresses without calls from its caller
  bool can_abort = false;     // a hung collective can be given up and the process lives on
  int device = -1;            // whose memory, among the GPUs that this process sees; -1 without device_buffers
  std::vector<DataType> types;
};

struct CollectiveError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// A deadline passed. `what` names the rank that waited, the operation, its sequence number and the flight record.
struct DeadlineExceeded : CollectiveError {
  using CollectiveError::CollectiveError;
};

/// What a rank has done so far, for progress messages.
struct Counters {
  std::int64_t collectives = 0;  // completed or under way
  std::int64_t bytes = 0;        // of the larger of the two buffers, once per collective and rank; a barrier has 0
};

enum class Kind { all_reduce, reduce_scatter, all_gather, broadcast, barrier };

class FlightRecorder;
class Work;
struct Call;

/// A collective under way. Destroyed before it is complete, it is given up: an error for the whole gang.
class Pending {
 public:
  Pending(const Call& call, std::shared_ptr<FlightRecorder> recorder, std::unique_ptr<Work> work);
  ~Pending();
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;

  /// True once it is complete on this rank. Throws CollectiveError when it failed, then and ever after.
  bool test();
  /// Returns when complete. Throws DeadlineExceeded after `deadline` (a backend without can_abort ends the process
  /// instead, after saying so on stderr), CollectiveError when it failed. The flight record is on disk before either.
  void wait(std::chrono::milliseconds deadline);
  /// What test or wait threw; empty while under way or complete.
  const std::string& error() const { return error_; }

 private:
  std::string failed(const std::string& reason);
  void complete();

  std::int64_t sequence_;
  std::shared_ptr<FlightRecorder> recorder_;
  std::unique_ptr<Work> work_;
  bool complete_ = false;
  bool late_ = false;  // failed by its deadline
  std::string error_;
};

/// May be used by one thread at a time. All ranks must call the same collectives in the same order. What one rank alone
/// can see to be wrong (counts that don't fit, a type or memory that the backend can't do, overlapping buffers, a root
/// outside of the gang) is refused by CollectiveError before it counts.
class Communicator {
 public:
  virtual ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  int rank() const { return rank_; }  // 0 .. world_size-1
  int world_size() const { return world_size_; }
  std::string_view backend() const { return backend_; }  // in_process, mpi, nccl
  const Capabilities& capabilities() const { return capabilities_; }
  Counters counters() const;  // from any thread

  /// Every rank's `receive` becomes the elementwise sum or max of all ranks' `send`. In place with one buffer. The
  /// order of addition depends only on (world_size, count), so all ranks get identical bits, run after run.
  std::unique_ptr<Pending> all_reduce(Buffer send, Buffer receive, Operation operation, Stream stream = {});
  std::unique_ptr<Pending> all_reduce(Buffer buffer, Operation operation, Stream stream = {}) {
    return all_reduce(buffer, buffer, operation, stream);
  }
  /// `send` is [world_size x receive.count]; `receive` of rank r becomes the sum or max over all ranks of their part r.
  /// In place if `receive` is part_of(send, rank, world_size); then the other parts of `send` are undefined afterwards.
  std::unique_ptr<Pending> reduce_scatter(Buffer send, Buffer receive, Operation operation, Stream stream = {});
  /// `receive` is [world_size x send.count]; its part r becomes rank r's `send`. In place if `send` is part_of(receive,
  /// rank, world_size).
  std::unique_ptr<Pending> all_gather(Buffer send, Buffer receive, Stream stream = {});
  /// Every rank's `receive` becomes rank `root`'s `send`, which only the root reads. In place with one buffer.
  std::unique_ptr<Pending> broadcast(Buffer send, Buffer receive, int root, Stream stream = {});
  std::unique_ptr<Pending> broadcast(Buffer buffer, int root, Stream stream = {}) {
    return broadcast(buffer, buffer, root, stream);
  }
  /// Complete once every rank has entered it.
  std::unique_ptr<Pending> barrier(Stream stream = {});

 protected:
  Communicator(std::string_view backend, int rank, int world_size, Capabilities capabilities);

 private:
  virtual std::unique_ptr<Work> start(const Call& call) = 0;
  void check(const Buffer& buffer, const std::string& name) const;
  void check(Kind kind, const Buffer& send, const Buffer& receive) const;
  std::unique_ptr<Pending> begin(Call call);

  std::string_view backend_;
  int rank_, world_size_;
  Capabilities capabilities_;
  std::shared_ptr<FlightRecorder> recorder_;
};

}  // namespace ultramarine::collectives
