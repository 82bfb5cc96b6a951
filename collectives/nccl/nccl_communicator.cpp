// Nothing here waits inside CUDA or NCCL, where a dead peer would hold it for ever. The NCCL communicator is
// non-blocking (ncclConfig_t.blocking = 0); every wait polls an event and ncclCommGetAsyncError against a deadline, and
// what is late or broken is ended by ncclCommAbort, which also ends its kernels on the device.
//
// Collectives run on a stream of their own: it waits for an event of the caller's stream, and the caller's stream waits
// for an event of it. NCCL may only be asked for the next collective when the last one was taken over (ncclInProgress
// ended), so starting one waits for that too.
#include "collectives/nccl/nccl_communicator.h"

#include <cuda_runtime_api.h>
#include <nccl.h>
#include <sched.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>

#include "collectives/nccl/cuda_check.h"
#include "collectives/work.h"

namespace ultramarine::collectives {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

/// Gives the core away between polls: at once for a short wait, then in longer and longer naps.
class Patience {
 public:
  void wait() {
    if (polls_++ < 256) {
      sched_yield();
    } else {
      std::this_thread::sleep_for(nap_);
      nap_ = std::min(nap_ * 3 / 2, std::chrono::microseconds(200));
    }
  }

 private:
  int polls_ = 0;
  std::chrono::microseconds nap_{5};
};

/// Makes a device the thread's current one for a while.
class OnDevice {
 public:
  explicit OnDevice(int device) {
    check_cuda(cudaGetDevice(&before_), "cudaGetDevice");
    if (before_ != device) check_cuda(cudaSetDevice(device), "cudaSetDevice(" + std::to_string(device) + ")");
    changed_ = before_ != device;
  }
  ~OnDevice() {
    if (changed_) cudaSetDevice(before_);
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int before_ = 0;
  bool changed_ = false;
};

ncclDataType_t nccl_type(DataType type) {
  return type == DataType::float32 ? ncclFloat32 : type == DataType::bf16 ? ncclBfloat16 : ncclInt64;
}

/// The NCCL communicator and its stream; shared by the communicator and its work, so that it outlives both.
class Link {
 public:
  explicit Link(const NcclWorld& world) : device_(world.device), deadline_(world.deadline) {
    const OnDevice on(device_);
    try {
      check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
      check_cuda(cudaEventCreateWithFlags(&before_, cudaEventDisableTiming), "cudaEventCreateWithFlags");
      check_cuda(cudaMalloc(&token_, sizeof(std::int64_t)), "cudaMalloc");
      check_cuda(cudaMemset(token_, 0, sizeof(std::int64_t)), "cudaMemset");
      join(world);
    } catch (...) {
      close();
      throw;
    }
  }
  ~Link() { close(); }
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  int device() const { return device_; }

  /// Starts `call` and records `done` behind it. Throws CollectiveError after having aborted.
  void start(const Call& call, cudaEvent_t done) {
    const std::lock_guard lock(mutex_);
    expect_alive();
    const auto caller = static_cast<cudaStream_t>(call.stream.handle);
    try {
      check_cuda(cudaEventRecord(before_, caller), "cudaEventRecord");
      check_cuda(cudaStreamWaitEvent(stream_, before_, 0), "cudaStreamWaitEvent");
      const ncclResult_t code = launch(call);
      if (code != ncclSuccess && code != ncclInProgress) throw CollectiveError(describe_nccl_error(code, nccl_));
      settle(deadline_, "was not taken over by NCCL");
      check_cuda(cudaEventRecord(done, stream_), "cudaEventRecord");
      check_cuda(cudaStreamWaitEvent(caller, done, 0), "cudaStreamWaitEvent");
    } catch (const CollectiveError& error) {
      abort(call.sequence, error.what());
      throw;
    }
  }

  /// Whether the work before `done` is complete. Throws CollectiveError after having aborted.
  bool test(std::int64_t sequence, cudaEvent_t done) {
    const std::lock_guard lock(mutex_);
    expect_alive();
    try {
      // The error first seen after the event may be what let the event come: then the data are not to be trusted.
      const cudaError_t code = cudaEventQuery(done);
      if (code != cudaErrorNotReady) check_cuda(code, "the collective's stream");
      busy();
      return code == cudaSuccess;
    } catch (const CollectiveError& error) {
      abort(sequence, error.what());
      throw;
    }
  }

  void give_up(std::int64_t sequence, const std::string& why) noexcept {
    const std::lock_guard lock(mutex_);
    if (nccl_) abort(sequence, why);
  }

 private:
  void join(const NcclWorld& world) {
    ncclUniqueId id{};
    if (world.rank == 0) {
      const ncclResult_t code = ncclGetUniqueId(&id);
      if (code != ncclSuccess) throw CollectiveError("nccl: ncclGetUniqueId: " + describe_nccl_error(code));
    }
    const std::string bytes = world.exchange(std::string(id.internal, sizeof id.internal));
    if (bytes.size() != sizeof id.internal)
      throw CollectiveError("nccl: rank 0 gave " + std::to_string(bytes.size()) + " bytes instead of a unique id");
    std::memcpy(id.internal, bytes.data(), sizeof id.internal);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    const ncclResult_t code = ncclCommInitRankConfig(&nccl_, world.world_size, id, world.rank, &config);
    const std::string who =
        "nccl: rank " + std::to_string(world.rank) + " of " + std::to_string(world.world_size) + ": joining the gang: ";
    if (code != ncclSuccess && code != ncclInProgress) throw CollectiveError(who + describe_nccl_error(code, nccl_));
    try {
      settle(deadline_, "not complete");
    } catch (const DeadlineExceeded& error) {
      throw DeadlineExceeded(who + error.what());
    } catch (const CollectiveError& error) {
      throw CollectiveError(who + error.what());
    }
  }

  ncclResult_t launch(const Call& call) {
    if (call.kind == Kind::barrier) return ncclAllReduce(token_, token_, 1, ncclInt64, ncclSum, nccl_, stream_);
    if (call.count == 0) return ncclSuccess;
    const ncclDataType_t type = nccl_type(call.type);
    const ncclRedOp_t operation = call.operation == Operation::sum ? ncclSum : ncclMax;
    switch (call.kind) {
      case Kind::all_reduce:
        return ncclAllReduce(call.send, call.receive, call.count, type, operation, nccl_, stream_);
      case Kind::reduce_scatter:
        return ncclReduceScatter(call.send, call.receive, call.count, type, operation, nccl_, stream_);
      case Kind::all_gather:
        return ncclAllGather(call.send, call.receive, call.count, type, nccl_, stream_);
      default:
        return ncclBroadcast(call.send, call.receive, call.count, type, call.root, nccl_, stream_);
    }
  }

  // The caller holds the mutex (or is alone) for all of these.
  void expect_alive() const {
    if (!nccl_) throw CollectiveError("the communicator was aborted before: " + aborted_);
  }

  ncclResult_t async_state() const {
    ncclResult_t state = ncclSuccess;
    const ncclResult_t code = ncclCommGetAsyncError(nccl_, &state);
    return code != ncclSuccess ? code : state;
  }

  /// What NCCL says about the communicator: whether it is still busy. Throws CollectiveError when it is broken.
  bool busy() const {
    const ncclResult_t state = async_state();
    if (state != ncclSuccess && state != ncclInProgress) throw CollectiveError(describe_nccl_error(state, nccl_));
    return state == ncclInProgress;
  }

  /// Until NCCL isn't busy any more.
  void settle(milliseconds deadline, const char* late) const {
    const auto started = Clock::now();
    for (Patience patience; busy(); patience.wait()) {
      if (Clock::now() - started >= deadline)
        throw DeadlineExceeded(std::string(late) + " within " + std::to_string(deadline.count()) + " ms");
    }
  }

  void abort(std::int64_t sequence, const std::string& why) noexcept {
    if (!nccl_) return;
    aborted_ = "collective " + std::to_string(sequence) + ": " + why;
    ncclCommAbort(std::exchange(nccl_, nullptr));
  }

  void close() noexcept {
    int before = 0;
    const bool known = cudaGetDevice(&before) == cudaSuccess;
    cudaSetDevice(device_);
    bool healthy = nccl_ != nullptr && aborted_.empty();
    if (nccl_) {
      // Peers that live finish at once; for a dead one there is no use in waiting long.
      try {
        const ncclResult_t code = async_state() == ncclSuccess ? ncclCommFinalize(nccl_) : ncclInternalError;
        if (code != ncclSuccess && code != ncclInProgress) throw CollectiveError(describe_nccl_error(code));
        settle(std::min(deadline_, milliseconds(std::chrono::seconds(10))), "not finalized");
        ncclCommDestroy(std::exchange(nccl_, nullptr));
      } catch (const CollectiveError&) {
        healthy = false;
        ncclCommAbort(std::exchange(nccl_, nullptr));
      }
    }
    if (before_) cudaEventDestroy(before_);
    if (stream_) cudaStreamDestroy(stream_);
    // cudaFree waits for the whole device, which may be what hangs: after an abort 8 bytes stay until the process ends.
    if (token_ && healthy) cudaFree(token_);
    if (known) cudaSetDevice(before);
  }

  const int device_;
  const milliseconds deadline_;
  std::mutex mutex_;
  ncclComm_t nccl_ = nullptr;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t before_ = nullptr;  // what the caller's stream held when a collective was started
  void* token_ = nullptr;         // what a barrier reduces
  std::string aborted_;           // why, once it was
};

class NcclWork final : public Work {
 public:
  NcclWork(std::shared_ptr<Link> link, std::int64_t sequence) : link_(std::move(link)), sequence_(sequence) {
    const OnDevice on(link_->device());
    check_cuda(cudaEventCreateWithFlags(&done_, cudaEventDisableTiming), "cudaEventCreateWithFlags");
  }
  ~NcclWork() override { cudaEventDestroy(done_); }

  void start(const Call& call) {
    const OnDevice on(link_->device());
    link_->start(call, done_);
  }

  bool test() override { return link_->test(sequence_, done_); }

  void wait(milliseconds deadline) override {
    const auto started = Clock::now();
    for (Patience patience; !test(); patience.wait()) {
      if (Clock::now() - started >= deadline)
        throw DeadlineExceeded("not complete after " + std::to_string(deadline.count()) + " ms");
    }
  }

  void give_up(const std::string& why) noexcept override { link_->give_up(sequence_, why); }

 private:
  std::shared_ptr<Link> link_;
  std::int64_t sequence_;
  cudaEvent_t done_ = nullptr;
};

class NcclCommunicator final : public Communicator {
 public:
  explicit NcclCommunicator(const NcclWorld& world)
      : Communicator("nccl", world.rank, world.world_size,
                     {.host_buffers = false,
                      .device_buffers = true,
                      .non_blocking = true,
                      .can_abort = true,
                      .device = world.device,
                      .types = {DataType::float32, DataType::bf16, DataType::int64}}),
        link_(std::make_shared<Link>(world)) {}

 private:
  std::unique_ptr<Work> start(const Call& call) override {
    auto work = std::make_unique<NcclWork>(link_, call.sequence);
    work->start(call);
    return work;
  }

  std::shared_ptr<Link> link_;
};

}  // namespace

std::unique_ptr<Communicator> make_nccl(const NcclWorld& world) { return std::make_unique<NcclCommunicator>(world); }

}  // namespace ultramarine::collectives
