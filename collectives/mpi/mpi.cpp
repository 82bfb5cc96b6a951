// The only file that includes mpi.h. Waiting polls MPI_Test and gives the core away between polls, because gangs on a
// shared machine have more ranks than cores and MPI's own waits spin.
//
// Identical bits: all-reduces are always in place, for which Open MPI's MPI_Iallreduce (libnbc, 4.1) reduces along one
// binomial tree to rank 0 and broadcasts; its other algorithms also compute each element in one place or with mirrored
// operands. The conformance test compares the bits of all ranks at every size.
#include "collectives/mpi/mpi.h"

#include <mpi.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/counting.h"

namespace ultramarine::collectives {
namespace {

using Clock = std::chrono::steady_clock;

std::string describe_error(int code) {
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  if (MPI_Error_string(code, text, &length) != MPI_SUCCESS) return "MPI error " + std::to_string(code);
  return std::string(text, static_cast<std::size_t>(length));
}

void check(int code, const std::string& what) {
  if (code != MPI_SUCCESS) throw CollectiveError("mpi: " + what + ": " + describe_error(code));
}

/// MPI itself and the duplicate of MPI_COMM_WORLD; shared by the communicator and its Pendings, so that it outlives
/// both.
class World {
 public:
  World() {
    int initialized = 0;
    MPI_Initialized(&initialized);
    if (initialized) throw CollectiveError("mpi: only one communicator in the life of a process");
    int provided = MPI_THREAD_SINGLE;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided), "MPI_Init_thread");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    if (provided < MPI_THREAD_SERIALIZED)
      throw CollectiveError("mpi: this MPI can't be called from more than one thread");
    check(MPI_Comm_dup(MPI_COMM_WORLD, &communicator), "MPI_Comm_dup");
    MPI_Comm_set_errhandler(communicator, MPI_ERRORS_RETURN);
    MPI_Comm_rank(communicator, &rank);
    MPI_Comm_size(communicator, &size);
  }
  ~World() {
    MPI_Comm_free(&communicator);
    MPI_Finalize();
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  [[noreturn]] void abort(const std::string& why) const {
    std::fprintf(stderr, "mpi: rank %d of %d: %s; ending the gang\n", rank, size, why.c_str());
    std::fflush(stderr);
    MPI_Abort(communicator, mpi_deadline_exit_code);
    _exit(mpi_deadline_exit_code);
  }

  std::mutex mutex;  // MPI_THREAD_SERIALIZED: one call at a time
  MPI_Comm communicator = MPI_COMM_NULL;
  int rank = 0;
  int size = 1;
};

class MpiPending final : public Pending {
 public:
  MpiPending(std::shared_ptr<World> world, std::string what, std::vector<MPI_Request> requests)
      : world_(std::move(world)), what_(std::move(what)), requests_(std::move(requests)) {}

  ~MpiPending() override {
    if (!finished()) world_->abort(what_ + " was abandoned before it was complete");
  }

  bool test() override {
    if (!error_.empty()) throw CollectiveError(error_);
    if (finished()) return true;
    const std::lock_guard lock(world_->mutex);
    // In order: the messages of one collective complete in about the order they were started.
    while (next_ < requests_.size()) {
      int done = 0;
      const int code = MPI_Test(&requests_[next_], &done, MPI_STATUS_IGNORE);
      if (code != MPI_SUCCESS) {
        error_ = "mpi: " + what_ + ": " + describe_error(code);
        throw CollectiveError(error_);
      }
      if (!done) return false;
      ++next_;
    }
    return true;
  }

  void wait(std::chrono::milliseconds deadline) override {
    if (test()) return;
    // A peer that shares this core needs it to get here: first give it away, then sleep, a little longer each time.
    constexpr int yields = 64;
    constexpr std::chrono::microseconds longest(200);
    const auto started = Clock::now();
    std::chrono::microseconds nap(10);
    for (int polls = 0;; ++polls) {
      if (polls < yields) {
        sched_yield();
      } else {
        std::this_thread::sleep_for(nap);
        nap = std::min(nap * 3 / 2, longest);
      }
      if (test()) return;
      if (Clock::now() - started >= deadline) {
        world_->abort(what_ + " was not complete after " + std::to_string(deadline.count()) + " ms");
      }
    }
  }

  std::string error() const override { return error_; }

 private:
  bool finished() const { return next_ == requests_.size() || !error_.empty(); }

  std::shared_ptr<World> world_;
  std::string what_;
  std::vector<MPI_Request> requests_;
  std::size_t next_ = 0;  // requests before it are complete
  std::string error_;
};

class MpiCommunicator final : public Communicator {
 public:
  explicit MpiCommunicator(std::size_t elements_per_message)
      : world_(std::make_shared<World>()), elements_per_message_(elements_per_message) {}

  int rank() const override { return world_->rank; }
  int world_size() const override { return world_->size; }
  std::string_view backend() const override { return "mpi"; }
  Capabilities capabilities() const override {
    return {.host_buffers = true,
            .device_buffers = false,
            .non_blocking = false,
            .can_abort = false,
            .types = {DataType::float32, DataType::int64}};
  }
  Counters counters() const override { return counting_.read(); }

  std::unique_ptr<Pending> all_reduce(Buffer buffer, Operation operation, Stream) override {
    const MPI_Op op = operation == Operation::sum ? MPI_SUM : MPI_MAX;
    return start("all_reduce", buffer, [&](void* data, int count, MPI_Datatype type, MPI_Request* request) {
      return MPI_Iallreduce(MPI_IN_PLACE, data, count, type, op, world_->communicator, request);
    });
  }
  std::unique_ptr<Pending> broadcast(Buffer buffer, int root, Stream) override {
    if (root < 0 || root >= world_size()) {
      throw CollectiveError("mpi: broadcast from rank " + std::to_string(root) + " of " + std::to_string(world_size()));
    }
    return start("broadcast", buffer, [&](void* data, int count, MPI_Datatype type, MPI_Request* request) {
      return MPI_Ibcast(data, count, type, root, world_->communicator, request);
    });
  }
  std::unique_ptr<Pending> barrier(Stream) override {
    return start("barrier", {}, [&](void*, int, MPI_Datatype, MPI_Request* request) {
      return MPI_Ibarrier(world_->communicator, request);
    });
  }

 private:
  template <class Start>
  std::unique_ptr<Pending> start(const char* operation, const Buffer& buffer, Start start_message) {
    if (buffer.residence != Residence::host) throw CollectiveError("mpi: works on host memory only");
    const std::int64_t sequence = counting_.started(bytes_of(buffer));
    const std::string what = std::string(operation) + " (collective " + std::to_string(sequence) + ", " +
                             std::to_string(bytes_of(buffer)) + " bytes)";
    const MPI_Datatype type = buffer.type == DataType::float32 ? MPI_FLOAT : MPI_INT64_T;
    std::vector<MPI_Request> requests;
    const std::lock_guard lock(world_->mutex);
    std::size_t begin = 0;
    do {
      const std::size_t count = std::min(elements_per_message_, buffer.count - begin);
      void* data = static_cast<char*>(buffer.data) + begin * size_of(buffer.type);
      requests.push_back(MPI_REQUEST_NULL);
      const int code = start_message(data, static_cast<int>(count), type, &requests.back());
      if (code != MPI_SUCCESS) {
        // Messages before it are under way and can't be cancelled; only a first one can fail without consequences.
        const std::string problem = what + ": " + describe_error(code);
        if (requests.size() > 1) world_->abort(problem);
        throw CollectiveError("mpi: " + problem);
      }
      begin += count;
    } while (begin < buffer.count);
    return std::make_unique<MpiPending>(world_, what, std::move(requests));
  }

  std::shared_ptr<World> world_;
  std::size_t elements_per_message_;
  Counting counting_;
};

}  // namespace

std::unique_ptr<Communicator> make_mpi(std::size_t elements_per_message) {
  if (elements_per_message == 0 || elements_per_message > std::size_t{1} << 30) {
    throw CollectiveError("mpi: a message has 1 to 2^30 elements");
  }
  return std::make_unique<MpiCommunicator>(elements_per_message);
}

}  // namespace ultramarine::collectives
