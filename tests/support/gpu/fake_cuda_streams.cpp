// Streams and events of the fake CUDA runtime: one thread per stream runs its tasks in order. An event holds the state
// that its last record made; a wait takes that state, so that later records don't change what it waits for.
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <deque>
#include <memory>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "fake_cuda.h"
#include "ordering.h"

namespace ultramarine::fake {

/// What one cudaEventRecord captured.
struct Recorded {
  std::atomic<bool> done = false;
  Bell bell = 0;
  std::chrono::steady_clock::time_point time;
};

struct Task {
  std::function<void()> run;
};

}  // namespace ultramarine::fake

struct CUstream_st {
  int device = 0;
  bool non_blocking = false;
  bool is_default = false;
  ultramarine::fake::Lock lock;
  std::deque<ultramarine::fake::Task*> tasks;  // guarded by lock
  std::uint64_t enqueued = 0;                  // guarded by lock
  bool ends = false;                           // guarded by lock
  std::atomic<std::uint64_t> done = 0;
  ultramarine::fake::Bell work_bell = 0, done_bell = 0;
  char end_token = 0;  // all that the stream has done
  std::thread thread;
  CUstream_st* next_retired = nullptr;
};

struct CUevent_st {
  int device = 0;
  bool timing = true;
  std::shared_ptr<ultramarine::fake::Recorded> recorded;  // null before the first record
};

namespace ultramarine::fake {
namespace {

Lock lock;  // of the sets below and of the default streams
std::set<cudaStream_t>& streams() {
  static auto* all = new std::set<cudaStream_t>;
  return *all;
}
std::set<cudaEvent_t>& events() {
  static auto* all = new std::set<cudaEvent_t>;
  return *all;
}
cudaStream_t default_streams[64];
// Destroyed ones stay, since a waiting thread may still look at them; chained, so that they aren't leaks.
cudaStream_t retired_streams = nullptr;

void run_tasks(cudaStream_t stream) {
  set_current_device(stream->device);
  const int jitter_us = environment_number("FAKE_CUDA_JITTER_US", 0);
  auto seed = static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(stream) >> 4) ^ static_cast<unsigned>(getpid());
  while (true) {
    Task* task = nullptr;
    const std::uint32_t seen = stream->work_bell;
    {
      const Guard guard(stream->lock);
      if (!stream->tasks.empty()) {
        task = stream->tasks.front();
        stream->tasks.pop_front();
      } else if (stream->ends) {
        return;
      }
    }
    if (!task) {
      wait_for_bell(stream->work_bell, seen);
      continue;
    }
    happens_after(task);  // what the host did before the call that enqueued it
    if (jitter_us > 0) usleep(static_cast<unsigned>(rand_r(&seed) % jitter_us));
    task->run();
    delete task;
    happens_before(&stream->end_token);
    stream->done.fetch_add(1);
    ring(stream->done_bell);
  }
}

cudaStream_t make_stream(int device, bool non_blocking, bool is_default) {
  auto* stream = new CUstream_st;
  stream->device = device;
  stream->non_blocking = non_blocking;
  stream->is_default = is_default;
  stream->thread = std::thread(run_tasks, stream);
  streams().insert(stream);
  return stream;
}

/// The stream behind a handle; null for one that isn't alive. The null handle is the device's default stream (legacy
/// behaviour, Programming Guide 6.2.8.5.3).
cudaStream_t resolve(cudaStream_t handle) {
  const Guard guard(lock);
  if (handle == nullptr || handle == cudaStreamLegacy) {
    cudaStream_t& stream = default_streams[current_device()];
    if (!stream) stream = make_stream(current_device(), false, true);
    return stream;
  }
  return streams().count(handle) ? handle : nullptr;
}
bool is_alive(cudaEvent_t event) {
  const Guard guard(lock);
  return events().count(event) > 0;
}

std::vector<cudaStream_t> streams_of(int device) {
  const Guard guard(lock);
  std::vector<cudaStream_t> found;
  for (cudaStream_t stream : streams()) {
    if (stream->device == device) found.push_back(stream);
  }
  return found;
}

void append(cudaStream_t stream, std::function<void()> run) {
  auto* task = new Task{std::move(run)};
  happens_before(task);
  {
    const Guard guard(stream->lock);
    stream->tasks.push_back(task);
    ++stream->enqueued;
  }
  ring(stream->work_bell);
}

std::uint64_t enqueued_on(cudaStream_t stream) {
  const Guard guard(stream->lock);
  return stream->enqueued;
}
void drain_unordered(cudaStream_t stream) {
  const std::uint64_t all = enqueued_on(stream);
  while (true) {
    const std::uint32_t seen = stream->done_bell;
    if (stream->done.load() >= all) break;
    wait_for_bell(stream->done_bell, seen);
  }
}
void drain(cudaStream_t stream) {
  drain_unordered(stream);
  happens_after(&stream->end_token);
}

void complete(Recorded& recorded) {
  recorded.time = std::chrono::steady_clock::now();
  happens_before(&recorded);
  recorded.done.store(true);
  ring(recorded.bell);
}
void await(Recorded& recorded) {
  while (true) {
    const std::uint32_t seen = recorded.bell;
    if (recorded.done.load()) break;
    wait_for_bell(recorded.bell, seen);
  }
  happens_after(&recorded);
}
std::shared_ptr<Recorded> mark(cudaStream_t stream) {
  auto recorded = std::make_shared<Recorded>();
  append(stream, [recorded] { complete(*recorded); });
  return recorded;
}

}  // namespace

cudaError_t enqueue(cudaStream_t handle, std::function<void()> run) {
  cudaStream_t stream = resolve(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (sticky_error() != cudaSuccess) return sticky_error();
  // Programming Guide 6.2.8.5.3: work on the default stream waits for all blocking streams of the device, and theirs
  // for it.
  std::vector<std::shared_ptr<Recorded>> before;
  if (stream->is_default) {
    for (cudaStream_t other : streams_of(stream->device)) {
      if (other != stream && !other->non_blocking) before.push_back(mark(other));
    }
  } else if (!stream->non_blocking && default_streams[stream->device]) {
    before.push_back(mark(default_streams[stream->device]));
  }
  if (before.empty()) {
    append(stream, std::move(run));
  } else {
    append(stream, [before, run = std::move(run)] {
      for (const auto& recorded : before) await(*recorded);
      run();
    });
  }
  return cudaSuccess;
}

int device_of(cudaStream_t handle) {
  cudaStream_t stream = resolve(handle);
  return stream ? stream->device : -1;
}

cudaError_t wait_until_idle(cudaStream_t handle) {
  cudaStream_t stream = resolve(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  drain(stream);
  return sticky_error();
}
void wait_until_device_idle(int device) {
  for (cudaStream_t stream : streams_of(device)) drain(stream);
}
void wait_as_if_by_chance(int device) {
  for (cudaStream_t stream : streams_of(device)) drain_unordered(stream);
}

}  // namespace ultramarine::fake

using namespace ultramarine::fake;

FAKE_API cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  FAKE_CUDA_ENTER(cudaStreamCreateWithFlags);
  const Guard guard(lock);
  *stream = make_stream(current_device(), (flags & cudaStreamNonBlocking) != 0, false);
  return cudaSuccess;
}
FAKE_API cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
  return cudaStreamCreateWithFlags(stream, flags);
}
FAKE_API cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithFlags(stream, 0); }
FAKE_API cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  {
    const Guard guard(lock);
    if (streams().erase(stream) == 0) return remember(cudaErrorInvalidResourceHandle);
    stream->next_retired = std::exchange(retired_streams, stream);
  }
  // Line 2165: "the function will return immediately", the work is still done.
  std::thread([stream] {
    {
      const Guard guard(stream->lock);
      stream->ends = true;
    }
    ring(stream->work_bell);
    stream->thread.join();
  }).detach();
  return cudaSuccess;
}
FAKE_API cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  FAKE_CUDA_ENTER(cudaStreamSynchronize);
  return remember(wait_until_idle(stream));
}
FAKE_API cudaError_t cudaStreamQuery(cudaStream_t handle) {
  FAKE_CUDA_ENTER(cudaStreamQuery);
  cudaStream_t stream = resolve(handle);
  if (!stream) return remember(cudaErrorInvalidResourceHandle);
  if (stream->done.load() < enqueued_on(stream)) return cudaErrorNotReady;
  happens_after(&stream->end_token);
  return cudaSuccess;
}
FAKE_API cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  FAKE_CUDA_ENTER(cudaLaunchHostFunc);
  return remember(enqueue(stream, [function, data] { function(data); }));
}

FAKE_API cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  FAKE_CUDA_ENTER(cudaEventCreateWithFlags);
  *event = new CUevent_st{current_device(), (flags & cudaEventDisableTiming) == 0, nullptr};
  const Guard guard(lock);
  events().insert(*event);
  return cudaSuccess;
}
FAKE_API cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }
FAKE_API cudaError_t cudaEventDestroy(cudaEvent_t event) {
  {
    const Guard guard(lock);
    if (events().erase(event) == 0) return remember(cudaErrorInvalidResourceHandle);
  }
  delete event;  // line 2958: may be destroyed before it is complete; waits hold what was recorded
  return cudaSuccess;
}
FAKE_API cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  FAKE_CUDA_ENTER(cudaEventRecord);
  cudaStream_t stream = resolve(handle);
  if (!stream || !is_alive(event)) return remember(cudaErrorInvalidResourceHandle);
  // Line 2804: "event and stream must be on the same CUDA context".
  if (event->device != stream->device) return remember(cudaErrorInvalidResourceHandle);
  auto recorded = std::make_shared<Recorded>();
  event->recorded = recorded;  // line 2810: "will overwrite the previously captured state"
  return remember(enqueue(handle, [recorded] { complete(*recorded); }));
}
FAKE_API cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  FAKE_CUDA_ENTER(cudaStreamWaitEvent);
  if (!resolve(stream) || !is_alive(event)) return remember(cudaErrorInvalidResourceHandle);
  // Lines 2811-2815: the most recently captured state; before the first record an event is an empty set of work.
  const auto recorded = event->recorded;
  if (!recorded) return cudaSuccess;
  return remember(enqueue(stream, [recorded] { await(*recorded); }));
}
FAKE_API cudaError_t cudaEventQuery(cudaEvent_t event) {
  FAKE_CUDA_ENTER(cudaEventQuery);
  if (!is_alive(event)) return remember(cudaErrorInvalidResourceHandle);
  if (!event->recorded) return cudaSuccess;
  if (!event->recorded->done.load()) return cudaErrorNotReady;
  happens_after(event->recorded.get());
  return cudaSuccess;
}
FAKE_API cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  FAKE_CUDA_ENTER(cudaEventSynchronize);
  if (!is_alive(event)) return remember(cudaErrorInvalidResourceHandle);
  if (event->recorded) await(*event->recorded);
  return remember(sticky_error());
}
FAKE_API cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  FAKE_CUDA_ENTER(cudaEventElapsedTime);
  // Lines 2997-3004: not recorded, or made without timing: an invalid handle; not complete: not ready.
  if (!is_alive(start) || !is_alive(end) || !start->recorded || !end->recorded || !start->timing || !end->timing)
    return remember(cudaErrorInvalidResourceHandle);
  if (!start->recorded->done.load() || !end->recorded->done.load()) return cudaErrorNotReady;
  *milliseconds = std::chrono::duration<float, std::milli>(end->recorded->time - start->recorded->time).count();
  return cudaSuccess;
}
