// NCCL's interface over fake_nccl_gang: what the program calls, checked as strictly as the documentation allows.
// Non-blocking communicators really answer ncclInProgress at first. Rules cite the line of nccl.h (2.28.9) or NCCL's
// user guide.
#include <sys/random.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <functional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "fake_cuda.h"
#include "fake_nccl_gang.h"
#include "ordering.h"

using namespace ultramarine::fake;

struct ncclComm {
  ncclComm(const char* id, int world_size, int rank_, int device_, bool blocking_)
      : gang(id, world_size, rank_, device_), device(device_), blocking(blocking_) {}
  GangMember gang;
  int device;
  bool blocking;
  std::uint64_t collectives = 0;
  std::atomic<int> state = ncclInProgress;
  std::atomic<int> answers_in_progress = 0;  // so often ncclCommGetAsyncError still says ncclInProgress
  std::atomic<int> under_way = 0;            // collectives in streams
  bool finalized = false;
  std::thread joining;
  ncclComm* next_retired = nullptr;
};

namespace {

Lock lock;
// Communicators that may be used. What was destroyed is kept, so that its address can't come back.
std::set<ncclComm_t>& living() {
  static auto* all = new std::set<ncclComm_t>;
  return *all;
}
ncclComm_t retired = nullptr;
Lock text_lock;
char last_error_text[512] = "";

ncclResult_t failed(ncclResult_t error, const std::string& text) {
  const Guard guard(text_lock);
  std::snprintf(last_error_text, sizeof last_error_text, "%s", text.c_str());
  return error;
}

struct Queued {
  ncclComm_t communicator;
  std::function<ncclResult_t()> start;
};
thread_local int group_depth = 0;
thread_local std::vector<Queued> group;

void expect_alive(ncclComm_t communicator, const char* function) {
  const Guard guard(lock);
  if (!living().count(communicator))
    violation("%s: communicator %p was destroyed, aborted or never made", function, static_cast<void*>(communicator));
}

/// The state that ncclCommGetAsyncError tells.
ncclResult_t state_of(ncclComm_t communicator) {
  if (const ncclResult_t error = communicator->gang.error(); error != ncclSuccess)
    return failed(error, communicator->gang.error_text());
  return static_cast<ncclResult_t>(communicator->state.load());
}

/// User guide, "Asynchronous errors and error handling": calls on a non-blocking communicator may return
/// ncclInProgress, and the communicator must be polled until it is ncclSuccess before the next call.
ncclResult_t started(ncclComm_t communicator) {
  if (communicator->blocking) return ncclSuccess;
  communicator->answers_in_progress = 1;
  communicator->state = ncclInProgress;
  return ncclInProgress;
}

ncclResult_t join(ncclComm_t* result, int world_size, const ncclUniqueId& id, int rank, bool blocking) {
  if (world_size < 1 || rank < 0 || rank >= world_size) return failed(ncclInvalidArgument, "rank or number of ranks");
  if (std::strncmp(id.internal, "/fake_nccl.", 11) != 0)
    return failed(ncclInvalidArgument, "no unique id of this library");
  auto* communicator = new ncclComm(id.internal, world_size, rank, current_device(), blocking);
  if (!communicator->gang.problem().empty()) {
    communicator->gang.leave();
    return failed(ncclInvalidUsage, communicator->gang.problem());
  }
  if (communicator->gang.fault_at(0) == "memory") {
    communicator->gang.break_all(ncclUnhandledCudaError, "Cuda failure 2 'out of memory'");
  }
  {
    const Guard guard(lock);
    living().insert(communicator);
  }
  *result = communicator;
  const auto wait = [communicator] {
    if (communicator->gang.wait_for_all()) communicator->state = ncclSuccess;
  };
  if (blocking && group_depth == 0) {
    wait();
    return state_of(communicator);
  }
  communicator->joining = std::thread(wait);
  if (group_depth == 0) return ncclInProgress;
  group.push_back({communicator, [communicator] {
                     if (communicator->blocking) communicator->joining.join();
                     return state_of(communicator);
                   }});
  return ncclSuccess;
}

void leave(ncclComm_t communicator) {
  {
    const Guard guard(lock);
    living().erase(communicator);
    communicator->next_retired = std::exchange(retired, communicator);
  }
  if (communicator->joining.joinable()) communicator->joining.join();
  while (communicator->under_way > 0) usleep(100);
  communicator->gang.leave();
}

/// Where a collective may work in place: lines 412, 428, 445.
bool in_place(Collective kind, const char* in, const char* out, std::size_t in_bytes, std::size_t out_bytes, int rank) {
  if (kind == Collective::reduce_scatter) return out == in + static_cast<std::size_t>(rank) * out_bytes;
  if (kind == Collective::all_gather) return in == out + static_cast<std::size_t>(rank) * in_bytes;
  return in == out;
}

void check_buffer(const char* what, Collective kind, const void* address, std::size_t bytes, int device) {
  int found = -1;
  if (bytes > 0 && (!is_device_memory(address, bytes, &found) || found != device)) {
    violation("nccl%s: the %s buffer %p (%zu bytes) isn't inside one allocation of device %d", name_of(kind), what,
              address, bytes, device);
  }
}

ncclResult_t collective(Collective kind, const void* in, void* out, std::size_t count, ncclDataType_t type,
                        ncclRedOp_t operation, int root, ncclComm_t communicator, cudaStream_t stream) {
  expect_alive(communicator, name_of(kind));
  // Line 183: finalize comes after the last communication.
  if (communicator->finalized) violation("nccl%s after ncclCommFinalize", name_of(kind));
  const std::size_t size = size_of(type);
  if (size == 0 || root < 0 || root >= communicator->gang.world_size())
    return failed(ncclInvalidArgument, std::string("nccl") + name_of(kind) + ": type or root");
  const ncclResult_t state = state_of(communicator);
  if (state == ncclInProgress)
    return failed(ncclInvalidUsage,
                  std::string("nccl") + name_of(kind) + " while the communicator is still in progress");
  if (state != ncclSuccess) return state;
  const auto ranks = static_cast<std::size_t>(communicator->gang.world_size());
  const int rank = communicator->gang.rank();
  const std::size_t in_bytes = size * count * (kind == Collective::reduce_scatter ? ranks : 1);
  const std::size_t out_bytes = size * count * (kind == Collective::all_gather ? ranks : 1);
  if (kind != Collective::broadcast || rank == root) check_buffer("send", kind, in, in_bytes, communicator->device);
  if (kind != Collective::reduce || rank == root) check_buffer("receive", kind, out, out_bytes, communicator->device);
  if (device_of(stream) != communicator->device)
    violation("nccl%s: the stream isn't alive or is of another device than the communicator", name_of(kind));
  const auto* from = static_cast<const char*>(in);
  const auto* to = static_cast<const char*>(out);
  if (!in_place(kind, from, to, in_bytes, out_bytes, rank) && from < to + out_bytes && to < from + in_bytes)
    violation("nccl%s: the buffers overlap, but not as in-place operation wants it", name_of(kind));
  const Agreement agreement{kind,  static_cast<std::uint32_t>(type), static_cast<std::uint32_t>(operation), root,
                            count, ++communicator->collectives};
  if (communicator->gang.fault_at(agreement.sequence) == "memory")
    return failed(ncclUnhandledCudaError, "Cuda failure 2 'out of memory'");
  const auto start = [=]() -> ncclResult_t {
    communicator->under_way.fetch_add(1);
    const cudaError_t error = enqueue(stream, [=] {
      // After an error the kernel of a collective stays on the device until the communicator is aborted.
      if (!communicator->gang.run(agreement, host_view(in), host_view(out))) {
        while (!communicator->gang.given_up()) usleep(200);
      }
      communicator->under_way.fetch_sub(1);
    });
    if (error == cudaSuccess) return started(communicator);
    communicator->under_way.fetch_sub(1);
    return failed(ncclUnhandledCudaError, std::string("Cuda failure '") + cudaGetErrorString(error) + "'");
  };
  if (group_depth == 0) return start();
  group.push_back({communicator, start});  // line 556: nothing starts before ncclGroupEnd
  return ncclSuccess;
}

}  // namespace

FAKE_API ncclResult_t ncclGetVersion(int* version) {
  *version = NCCL_VERSION_CODE;
  return ncclSuccess;
}
FAKE_API ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  std::uint64_t random[2];
  if (getrandom(random, sizeof random, 0) != sizeof random) return failed(ncclSystemError, "getrandom");
  std::memset(id, 0, sizeof *id);
  std::snprintf(id->internal, sizeof id->internal, "/fake_nccl.%d.%016llx%016llx", getpid(),
                static_cast<unsigned long long>(random[0]), static_cast<unsigned long long>(random[1]));
  return ncclSuccess;
}
FAKE_API ncclResult_t ncclCommInitRank(ncclComm_t* communicator, int world_size, ncclUniqueId id, int rank) {
  return join(communicator, world_size, id, rank, true);
}
FAKE_API ncclResult_t ncclCommInitRankConfig(ncclComm_t* communicator, int world_size, ncclUniqueId id, int rank,
                                             ncclConfig_t* config) {
  // Line 105: "Not initialized config will result in NCCL error."
  if (config && config->magic != 0xcafebeef) return failed(ncclInvalidArgument, "the config isn't initialised");
  return join(communicator, world_size, id, rank, !config || config->blocking != 0);
}
FAKE_API ncclResult_t ncclCommGetAsyncError(ncclComm_t communicator, ncclResult_t* state) {
  expect_alive(communicator, "ncclCommGetAsyncError");
  *state = state_of(communicator);
  if (*state == ncclInProgress && communicator->answers_in_progress > 0 && --communicator->answers_in_progress == 0)
    communicator->state = ncclSuccess;
  return ncclSuccess;
}
FAKE_API ncclResult_t ncclCommFinalize(ncclComm_t communicator) {
  expect_alive(communicator, "ncclCommFinalize");
  if (communicator->finalized) return failed(ncclInvalidUsage, "ncclCommFinalize twice");
  communicator->finalized = true;
  if (!communicator->blocking) return started(communicator);  // line 184: "marks communicator state as ncclInProgress"
  while (communicator->under_way > 0) usleep(100);
  return ncclSuccess;
}
FAKE_API ncclResult_t ncclCommDestroy(ncclComm_t communicator) {
  expect_alive(communicator, "ncclCommDestroy");
  leave(communicator);
  return ncclSuccess;
}
FAKE_API ncclResult_t ncclCommAbort(ncclComm_t communicator) {
  expect_alive(communicator, "ncclCommAbort");
  communicator->gang.give_up();  // line 195: "aborts any operations that might still be running on the device"
  leave(communicator);
  return ncclSuccess;
}
FAKE_API ncclResult_t ncclCommCount(const ncclComm_t communicator, int* count) {
  expect_alive(communicator, "ncclCommCount");
  *count = communicator->gang.world_size();
  return ncclSuccess;
}
FAKE_API ncclResult_t ncclCommUserRank(const ncclComm_t communicator, int* rank) {
  expect_alive(communicator, "ncclCommUserRank");
  *rank = communicator->gang.rank();
  return ncclSuccess;
}
FAKE_API ncclResult_t ncclCommCuDevice(const ncclComm_t communicator, int* device) {
  expect_alive(communicator, "ncclCommCuDevice");
  *device = communicator->device;
  return ncclSuccess;
}
FAKE_API ncclResult_t ncclGroupStart() {
  ++group_depth;
  return ncclSuccess;
}
FAKE_API ncclResult_t ncclGroupEnd() {
  if (group_depth == 0) return failed(ncclInvalidUsage, "ncclGroupEnd without ncclGroupStart");
  if (--group_depth > 0) return ncclSuccess;
  const std::vector<Queued> queued = std::move(group);
  group.clear();
  ncclResult_t result = ncclSuccess;
  for (const Queued& one : queued) {
    const ncclResult_t own = one.start();
    if (own != ncclSuccess && (result == ncclSuccess || result == ncclInProgress)) result = own;
  }
  return result;
}
FAKE_API ncclResult_t ncclAllReduce(const void* in, void* out, std::size_t count, ncclDataType_t type,
                                    ncclRedOp_t operation, ncclComm_t communicator, cudaStream_t stream) {
  return collective(Collective::all_reduce, in, out, count, type, operation, 0, communicator, stream);
}
FAKE_API ncclResult_t ncclReduceScatter(const void* in, void* out, std::size_t count, ncclDataType_t type,
                                        ncclRedOp_t operation, ncclComm_t communicator, cudaStream_t stream) {
  return collective(Collective::reduce_scatter, in, out, count, type, operation, 0, communicator, stream);
}
FAKE_API ncclResult_t ncclAllGather(const void* in, void* out, std::size_t count, ncclDataType_t type,
                                    ncclComm_t communicator, cudaStream_t stream) {
  return collective(Collective::all_gather, in, out, count, type, ncclSum, 0, communicator, stream);
}
FAKE_API ncclResult_t ncclBroadcast(const void* in, void* out, std::size_t count, ncclDataType_t type, int root,
                                    ncclComm_t communicator, cudaStream_t stream) {
  return collective(Collective::broadcast, in, out, count, type, ncclSum, root, communicator, stream);
}
FAKE_API ncclResult_t ncclReduce(const void* in, void* out, std::size_t count, ncclDataType_t type,
                                 ncclRedOp_t operation, int root, ncclComm_t communicator, cudaStream_t stream) {
  return collective(Collective::reduce, in, out, count, type, operation, root, communicator, stream);
}
FAKE_API const char* ncclGetErrorString(ncclResult_t error) {
  static constexpr const char* texts[] = {"no error",
                                          "unhandled cuda error (run with NCCL_DEBUG=INFO for details)",
                                          "unhandled system error (run with NCCL_DEBUG=INFO for details)",
                                          "internal error - please report this issue to the NCCL developers",
                                          "invalid argument (run with NCCL_DEBUG=WARN for details)",
                                          "invalid usage (run with NCCL_DEBUG=WARN for details)",
                                          "remote process exited or there was a network error",
                                          "NCCL operation in progress"};
  return error >= 0 && error < ncclNumResults ? texts[error] : "unknown result code";
}
FAKE_API const char* ncclGetLastError(ncclComm_t) { return last_error_text; }
