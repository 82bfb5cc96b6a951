// A rank's handle to its gang's collectives: how ranks talk to ranks. One interface, one folder per backend, one conformance
// test for all of them; `in_process` (threads) is the reference. Depends on nothing of ours.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace ultramarine::collectives {

enum class DataType { float32, int64 };
enum class Operation { sum, max };
enum class Residence { host, device };

constexpr std::size_t size_of(DataType type) { return type == DataType::float32 ? 4 : 8; }

/// Memory that a collective works on. It belongs to the caller and must stay until the Pending is done.
struct Buffer {
  void* data = nullptr;
  std::size_t count = 0;  // elements, not bytes
  DataType type = DataType::float32;
  Residence residence = Residence::host;
};

/// An opaque queue of device work that the collective is ordered after and before (cudaStream_t for nccl; null on the host).
struct Stream {
  void* handle = nullptr;
};

/// What a backend can do; callers choose by this, never by a backend's name.
struct Capabilities {
  bool host_buffers = false;
  bool device_buffers = false;
  bool non_blocking = false;  // a collective progresses without calls from its caller
  bool can_abort = false;     // a hung collective can be given up and the process lives on
  std::vector<DataType> types;
};

struct CollectiveError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// A deadline passed. `what` names the operation, its sequence number and the rank that waited.
struct DeadlineExceeded : CollectiveError {
  using CollectiveError::CollectiveError;
};

/// A collective under way.
class Pending {
 public:
  virtual ~Pending() = default;
  /// True once it is complete on this rank. Throws CollectiveError when it failed.
  virtual bool test() = 0;
  /// Returns when complete. Throws DeadlineExceeded after `deadline` (a backend without can_abort may end the process
  /// instead, after saying so on stderr), CollectiveError when it failed.
  virtual void wait(std::chrono::milliseconds deadline) = 0;
  /// The error, if it failed; empty while under way or complete.
  virtual std::string error() const = 0;
};

/// What a rank has done so far, for progress messages and flight records.
struct Counters {
  std::int64_t collectives = 0;  // completed or under way
  std::int64_t bytes = 0;        // payload: count x size, once per collective and rank; a barrier has 0
};

class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;        // 0 .. world_size-1
  virtual int world_size() const = 0;
  virtual std::string_view backend() const = 0;  // in_process, mpi, nccl
  virtual Capabilities capabilities() const = 0;
  virtual Counters counters() const = 0;

  /// Every rank's `buffer` becomes the elementwise sum or max over all ranks, in place. The order of addition depends only on
  /// (world_size, count), so all ranks get identical bits, run after run.
  virtual std::unique_ptr<Pending> all_reduce(Buffer buffer, Operation operation, Stream stream = {}) = 0;
  /// Every rank's `buffer` becomes that of rank `root`.
  virtual std::unique_ptr<Pending> broadcast(Buffer buffer, int root, Stream stream = {}) = 0;
  /// Complete once every rank has entered it.
  virtual std::unique_ptr<Pending> barrier(Stream stream = {}) = 0;
};

}  // namespace ultramarine::collectives
