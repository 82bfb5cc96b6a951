// Memory of the fake devices. The address that a program gets lies in a reservation without access rights, so touching
// it from the host faults as on a GPU; the bytes are at the same offset of a second reservation. Each allocation ends
// at a page without access, is filled with 0xFF (NaN) at first, and the slack before and behind it is looked at when it
// is freed.
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <vector>

#include "fake_cuda.h"
#include "ordering.h"

namespace ultramarine::fake {
namespace {

constexpr std::size_t reservation_bytes = std::size_t{64} << 30;
constexpr std::size_t page = 4096;
constexpr std::size_t alignment =
    256;  // Programming Guide 5.3.2: addresses from the runtime are aligned to at least 256 bytes
constexpr int untouched = 0xff;

struct Allocation {
  std::size_t bytes, pages;
  std::size_t before;  // slack between the first page's begin and the address
  int device;
};

Lock lock;
char* handed_out = nullptr;
char* real_bytes = nullptr;
std::size_t next_offset = page;
std::size_t used_bytes[64];

// Never destroyed: streams may still run when the program's static objects go.
std::map<const char*, Allocation>& allocations() {
  static auto* all = new std::map<const char*, Allocation>;
  return *all;
}
std::map<const char*, std::size_t>& pinned_memory() {
  static auto* all = new std::map<const char*, std::size_t>;
  return *all;
}

char* reserve() {
  void* memory = mmap(nullptr, reservation_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) violation("can't reserve %zu bytes of addresses", reservation_bytes);
  return static_cast<char*>(memory);
}

std::size_t device_memory_bytes() {
  return static_cast<std::size_t>(environment_number("FAKE_CUDA_MEMORY_MB", 4096)) << 20;
}

cudaError_t allocate(void** address, std::size_t bytes, int device) {
  const Guard guard(lock);
  if (!handed_out) {
    handed_out = reserve();
    real_bytes = reserve();
  }
  const std::size_t pages = (std::max<std::size_t>(bytes, 1) + page - 1) / page;
  if (used_bytes[device] + bytes > device_memory_bytes() || next_offset + (pages + 1) * page > reservation_bytes)
    return cudaErrorMemoryAllocation;
  const std::size_t before = (pages * page - bytes) / alignment * alignment;
  mprotect(real_bytes + next_offset, pages * page, PROT_READ | PROT_WRITE);
  std::memset(real_bytes + next_offset, untouched, pages * page);
  char* at = handed_out + next_offset + before;
  allocations()[at] = {bytes, pages, before, device};
  used_bytes[device] += bytes;
  next_offset += (pages + 1) * page;
  *address = at;
  return cudaSuccess;
}

cudaError_t release(void* address) {
  const Guard guard(lock);
  const auto found = allocations().find(static_cast<char*>(address));
  // Line 4730: "If cudaFree(devPtr) has already been called before, an error is returned."
  if (found == allocations().end()) return cudaErrorInvalidValue;
  const Allocation& allocation = found->second;
  char* base = real_bytes + (found->first - handed_out) - allocation.before;
  for (std::size_t i = 0; i < allocation.pages * page; ++i) {
    const bool inside = i >= allocation.before && i < allocation.before + allocation.bytes;
    if (!inside && static_cast<unsigned char>(base[i]) != untouched) {
      violation("cudaFree(%p): byte %td outside of the %zu bytes allocated there was written", address,
                static_cast<std::ptrdiff_t>(i) - static_cast<std::ptrdiff_t>(allocation.before), allocation.bytes);
    }
  }
  madvise(base, allocation.pages * page, MADV_DONTNEED);
  mprotect(base, allocation.pages * page, PROT_NONE);
  used_bytes[allocation.device] -= allocation.bytes;
  allocations().erase(found);
  return cudaSuccess;
}

bool is_pinned(const void* address) {
  const Guard guard(lock);
  auto after = pinned_memory().upper_bound(static_cast<const char*>(address));
  if (after == pinned_memory().begin()) return false;
  --after;
  return static_cast<const char*>(address) < after->first + after->second;
}

/// Line 5925: "dst and src pointers that do not match the direction of the copy results in an undefined behavior".
void check_copy(const char* function, const void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  if (kind == cudaMemcpyDefault || bytes == 0) return;
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  const bool to_is = is_device_memory(to, bytes), from_is = is_device_memory(from, bytes);
  if (to_is != to_device || from_is != from_device) {
    violation("%s of kind %d, %zu bytes: the destination %p is%s a range of device memory, the source %p is%s",
              function, static_cast<int>(kind), bytes, to, to_is ? "" : " not", from, from_is ? "" : " not");
  }
}

}  // namespace

bool is_device_memory(const void* address, std::size_t bytes, int* device) {
  const Guard guard(lock);
  const auto* at = static_cast<const char*>(address);
  auto after = allocations().upper_bound(at);
  if (after == allocations().begin()) return false;
  --after;
  if (at + bytes > after->first + after->second.bytes) return false;
  if (device) *device = after->second.device;
  return true;
}

void* host_view(const void* address) {
  const auto* at = static_cast<const char*>(address);
  if (handed_out && at >= handed_out && at < handed_out + reservation_bytes) return real_bytes + (at - handed_out);
  return const_cast<void*>(address);
}

}  // namespace ultramarine::fake

using namespace ultramarine::fake;

FAKE_API cudaError_t cudaMalloc(void** address, std::size_t bytes) {
  FAKE_CUDA_ENTER(cudaMalloc);
  return remember(allocate(address, bytes, current_device()));
}
FAKE_API cudaError_t cudaFree(void* address) {
  FAKE_CUDA_ENTER(cudaFree);
  if (!address) return cudaSuccess;  // line 4731: "If devPtr is 0, no operation is performed"
  int device = 0;
  if (!is_device_memory(address, 0, &device)) return remember(cudaErrorInvalidValue);
  wait_until_device_idle(device);  // line 4728: "this API may perform implicit synchronization"
  return remember(release(address));
}
FAKE_API cudaError_t cudaHostAlloc(void** address, std::size_t bytes, unsigned) {
  FAKE_CUDA_ENTER(cudaHostAlloc);
  *address = std::aligned_alloc(page, (std::max<std::size_t>(bytes, 1) + page - 1) / page * page);
  const Guard guard(lock);
  pinned_memory()[static_cast<char*>(*address)] = bytes;
  return cudaSuccess;
}
FAKE_API cudaError_t cudaMallocHost(void** address, std::size_t bytes) { return cudaHostAlloc(address, bytes, 0); }
FAKE_API cudaError_t cudaFreeHost(void* address) {
  FAKE_CUDA_ENTER(cudaFreeHost);
  if (!address) return cudaSuccess;
  for (int device = 0; device < device_count(); ++device) wait_until_device_idle(device);
  {
    const Guard guard(lock);
    if (pinned_memory().erase(static_cast<char*>(address)) == 0) return remember(cudaErrorInvalidValue);
  }
  std::free(address);
  return cudaSuccess;
}
FAKE_API cudaError_t cudaMemGetInfo(std::size_t* free_bytes, std::size_t* total_bytes) {
  FAKE_CUDA_ENTER(cudaMemGetInfo);
  const Guard guard(lock);
  *total_bytes = device_memory_bytes();
  *free_bytes = *total_bytes - used_bytes[current_device()];
  return cudaSuccess;
}
namespace ultramarine::fake {
namespace {
/// The bytes of pageable memory are staged before this returns, and arrive in the order of the stream.
cudaError_t copy_from_pageable(void* to, const void* from, std::size_t bytes, cudaStream_t stream) {
  const auto* begin = static_cast<const char*>(from);
  // Freed by the task alone: ThreadSanitizer can't see how a shared pointer orders its owners.
  auto* staged = new std::vector<char>(begin, begin + bytes);
  const cudaError_t error = enqueue(stream, [to, bytes, staged] {
    std::memcpy(host_view(to), staged->data(), bytes);
    delete staged;
  });
  if (error != cudaSuccess) delete staged;
  return error;
}
}  // namespace
}  // namespace ultramarine::fake

FAKE_API cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                                     cudaStream_t stream) {
  FAKE_CUDA_ENTER(cudaMemcpyAsync);
  check_copy("cudaMemcpyAsync", to, from, bytes, kind);
  // "API synchronization behavior" (note_async): from pageable memory the bytes are staged before the call returns ...
  if (!is_device_memory(from, bytes) && !is_pinned(from))
    return remember(copy_from_pageable(to, from, bytes, stream));
  const cudaError_t error = enqueue(stream, [to, from, bytes] { std::memcpy(host_view(to), host_view(from), bytes); });
  // ... and to pageable memory the call returns once the copy is complete.
  if (error == cudaSuccess && !is_device_memory(to, bytes) && !is_pinned(to)) return remember(wait_until_idle(stream));
  return remember(error);
}
FAKE_API cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  FAKE_CUDA_ENTER(cudaMemcpy);
  check_copy("cudaMemcpy", to, from, bytes, kind);
  // On the default stream: it doesn't wait for streams made with cudaStreamNonBlocking.
  // Lines 75-78: from pageable memory it returns once the bytes are staged, "but the DMA to final destination may not
  // have completed".
  if (is_device_memory(to, bytes) && !is_device_memory(from, bytes) && !is_pinned(from)) {
    const cudaError_t before = wait_until_idle(nullptr);
    return remember(before == cudaSuccess ? copy_from_pageable(to, from, bytes, nullptr) : before);
  }
  const cudaError_t error = enqueue(nullptr, [to, from, bytes] { std::memcpy(host_view(to), host_view(from), bytes); });
  return remember(error == cudaSuccess ? wait_until_idle(nullptr) : error);
}
FAKE_API cudaError_t cudaMemsetAsync(void* address, int value, std::size_t bytes, cudaStream_t stream) {
  FAKE_CUDA_ENTER(cudaMemsetAsync);
  if (bytes > 0 && !is_device_memory(address, bytes))
    violation("cudaMemsetAsync(%p, %zu bytes): not a range of device memory", address, bytes);
  return remember(enqueue(stream, [address, value, bytes] { std::memset(host_view(address), value, bytes); }));
}
FAKE_API cudaError_t cudaMemset(void* address, int value, std::size_t bytes) {
  return cudaMemsetAsync(address, value, bytes, nullptr);
}
