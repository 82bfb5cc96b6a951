// The only file that includes mpi.h. Waiting polls MPI_Test and gives the core away between polls, because gangs on a
// shared machine have more ranks than cores and MPI's own waits spin.
//
// Identical bits: all-reduces are always in place (the other form copies first), for which Open MPI's MPI_Iallreduce
// (libnbc, 4.1) reduces along one binomial tree to rank 0 and broadcasts; its other algorithms also compute each
// element in one place or with mirrored operands. The conformance test compares the bits of all ranks at every size.
//
// reduce_scatter is one MPI_Ireduce for each rank's part: unlike MPI_Ireduce_scatter_block it works in place where our
// interface does, keeps no rank busier than the others, and has no limit on the size of a part.
#include "collectives/mpi/mpi.h"

#include <mpi.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/bf16.h"
#include "collectives/work.h"

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

MPI_Datatype mpi_type(DataType type) {
  return type == DataType::float32 ? MPI_FLOAT : type == DataType::int64 ? MPI_INT64_T : MPI_UINT16_T;
}

/// MPI itself and the duplicate of MPI_COMM_WORLD; shared by the communicator and its work, so that it outlives both.
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
    std::fprintf(stderr, "%s; ending the gang\n", why.c_str());
    std::fflush(stderr);
    MPI_Abort(communicator, mpi_deadline_exit_code);
    _exit(mpi_deadline_exit_code);
  }

  std::mutex mutex;  // MPI_THREAD_SERIALIZED: one call at a time
  MPI_Comm communicator = MPI_COMM_NULL;
  int rank = 0;
  int size = 1;
};

class MpiWork final : public Work {
 public:
  MpiWork(std::shared_ptr<World> world, const Call& call) : world_(std::move(world)), call_(call) {}

  bool test() override {
    const std::lock_guard lock(world_->mutex);
    // In order: the messages of one collective complete in about the order they were started.
    for (; next_ < requests_.size(); ++next_) {
      int done = 0;
      const int code = MPI_Test(&requests_[next_], &done, MPI_STATUS_IGNORE);
      if (code != MPI_SUCCESS) throw CollectiveError(describe_error(code));
      if (!done) return false;
    }
    auto* const result = static_cast<std::uint16_t*>(call_.receive);
    const float* const sums = own_sums();
    for (std::size_t i = 0; !wide_.empty() && i < call_.count; ++i) result[i] = to_bf16(sums[i]);
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
        throw DeadlineExceeded("not complete after " + std::to_string(deadline.count()) + " ms");
      }
    }
  }

  void give_up(const std::string& why) noexcept override { world_->abort(why); }

  /// Starts all messages of the collective.
  void start(std::size_t elements_per_message) {
    const std::lock_guard lock(world_->mutex);
    elements_per_message_ = elements_per_message;
    switch (call_.kind) {
      case Kind::barrier:
        return message([&](MPI_Request* request) { return MPI_Ibarrier(world_->communicator, request); });
      case Kind::broadcast:
        return broadcast(call_.receive, call_.send, call_.root);
      case Kind::all_gather:
        return all_gather();
      case Kind::all_reduce:
        return all_reduce();
      case Kind::reduce_scatter:
        return reduce_scatter();
    }
  }

 private:
  std::size_t ranks() const { return static_cast<std::size_t>(world_->size); }
  const float* own_sums() const {
    const std::size_t part = call_.kind == Kind::reduce_scatter ? static_cast<std::size_t>(world_->rank) : 0;
    return wide_.data() + part * call_.count;
  }

  template <class Start>
  void message(Start start_message) {
    requests_.push_back(MPI_REQUEST_NULL);
    const int code = start_message(&requests_.back());
    if (code == MPI_SUCCESS) return;
    // Messages before it are under way and can't be cancelled; only a first one can fail without consequences.
    if (requests_.size() > 1) world_->abort("mpi: " + describe(call_) + ": " + describe_error(code));
    throw CollectiveError(describe_error(code));
  }

  /// MPI counts are 32 bits: `start_piece(offset in bytes, count, request)` for each piece of the call's count.
  template <class StartPiece>
  void pieces(std::size_t element_bytes, StartPiece start_piece) {
    std::size_t begin = 0;
    do {
      const std::size_t count = std::min(elements_per_message_, call_.count - begin);
      message(
          [&](MPI_Request* request) { return start_piece(begin * element_bytes, static_cast<int>(count), request); });
      begin += count;
    } while (begin < call_.count);
  }

  void broadcast(void* receive, const void* send, int root) {
    if (world_->rank == root && receive != send && call_.count > 0) std::memcpy(receive, send, call_.bytes());
    pieces(size_of(call_.type), [&](std::size_t offset, int count, MPI_Request* request) {
      return MPI_Ibcast(static_cast<char*>(receive) + offset, count, mpi_type(call_.type), root, world_->communicator,
                        request);
    });
  }

  void all_gather() {
    const auto part = [&](int rank) {
      return static_cast<char*>(call_.receive) + static_cast<std::size_t>(rank) * call_.bytes();
    };
    const bool in_place = part(world_->rank) == call_.send;
    if (call_.count > elements_per_message_) {
      // Pieces of all parts together aren't contiguous; pieces of one part are.
      for (int rank = 0; rank < world_->size; ++rank) broadcast(part(rank), call_.send, rank);
      return;
    }
    const MPI_Datatype type = mpi_type(call_.type);
    const int count = static_cast<int>(call_.count);
    message([&](MPI_Request* request) {
      return MPI_Iallgather(in_place ? MPI_IN_PLACE : call_.send, count, type, call_.receive, count, type,
                            world_->communicator, request);
    });
  }

  MPI_Op mpi_operation() const { return call_.operation == Operation::sum ? MPI_SUM : MPI_MAX; }

  /// bf16 is reduced as float32: MPI knows no bf16, and so it is rounded once.
  void widen(std::size_t count) {
    const auto* const values = static_cast<const std::uint16_t*>(call_.send);
    wide_.resize(count);
    for (std::size_t i = 0; i < count; ++i) wide_[i] = from_bf16(values[i]);
  }

  void all_reduce() {
    void* data = call_.receive;
    DataType type = call_.type;
    if (type == DataType::bf16 && call_.count > 0) {
      widen(call_.count);
      data = wide_.data();
      type = DataType::float32;
    } else if (call_.send != call_.receive && call_.count > 0) {
      std::memcpy(call_.receive, call_.send, call_.bytes());
    }
    pieces(size_of(type), [&](std::size_t offset, int count, MPI_Request* request) {
      return MPI_Iallreduce(MPI_IN_PLACE, static_cast<char*>(data) + offset, count, mpi_type(type), mpi_operation(),
                            world_->communicator, request);
    });
  }

  void reduce_scatter() {
    const char* send = static_cast<const char*>(call_.send);
    char* receive = static_cast<char*>(call_.receive);
    DataType type = call_.type;
    if (type == DataType::bf16 && call_.count > 0) {
      widen(call_.count * ranks());
      type = DataType::float32;
      send = reinterpret_cast<const char*>(wide_.data());
      receive = reinterpret_cast<char*>(wide_.data() + static_cast<std::size_t>(world_->rank) * call_.count);
    }
    for (int root = 0; root < world_->size; ++root) {
      const char* part = send + static_cast<std::size_t>(root) * call_.count * size_of(type);
      const bool own = root == world_->rank;
      pieces(size_of(type), [&](std::size_t offset, int count, MPI_Request* request) {
        const void* from = own && part == receive ? MPI_IN_PLACE : part + offset;
        return MPI_Ireduce(from, own ? receive + offset : nullptr, count, mpi_type(type), mpi_operation(), root,
                           world_->communicator, request);
      });
    }
  }

  std::shared_ptr<World> world_;
  Call call_;
  std::size_t elements_per_message_ = 0;
  std::vector<MPI_Request> requests_;
  std::size_t next_ = 0;     // requests before it are complete
  std::vector<float> wide_;  // of a bf16 reduction: what is sent, then the sums
};

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator(std::shared_ptr<World> world, std::size_t elements_per_message)
      : Communicator("mpi", world->rank, world->size,
                     {.host_buffers = true,
                      .device_buffers = false,
                      .non_blocking = false,
                      .can_abort = false,
                      .device = -1,
                      .types = {DataType::float32, DataType::bf16, DataType::int64}}),
        world_(std::move(world)),
        elements_per_message_(elements_per_message) {}

 private:
  std::unique_ptr<Work> start(const Call& call) override {
    auto work = std::make_unique<MpiWork>(world_, call);
    work->start(elements_per_message_);
    return work;
  }

  std::shared_ptr<World> world_;
  std::size_t elements_per_message_;
};

}  // namespace

std::unique_ptr<Communicator> make_mpi(std::size_t elements_per_message) {
  if (elements_per_message == 0 || elements_per_message > std::size_t{1} << 30) {
    throw CollectiveError("mpi: a message has 1 to 2^30 elements");
  }
  return std::make_unique<MpiCommunicator>(std::make_shared<World>(), elements_per_message);
}

}  // namespace ultramarine::collectives
