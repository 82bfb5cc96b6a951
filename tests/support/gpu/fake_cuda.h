// A CUDA runtime made of host memory: what its own files, the fake NCCL and the kernel emulation share. The exported
// functions are the runtime's own, declared by the real cuda_runtime_api.h, so the compiler checks every definition.
// Rules cite the line of that header (13.0) or the CUDA C++ Programming Guide; functions of the header that aren't
// written here end the process (unknown_calls.py).
//
// Settings, from the environment:
//   FAKE_CUDA_DEVICES=1        how many devices there are; 0: cudaErrorNoDevice
//   FAKE_CUDA_MEMORY_MB=4096   memory of each
//   FAKE_CUDA_JITTER_US=0      every task of a stream first waits up to this long: missing waits show as wrong results
//   FAKE_CUDA_FAULT=cudaMalloc:3:2,cudaLaunchKernel:10:700,cudaStreamWaitEvent:1:skip
//                              the third cudaMalloc fails with error 2; errors >= 700 stay for good, as on a GPU; a
//                              skipped call succeeds and does nothing, as if its line were missing
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <functional>

#define FAKE_API extern "C" __attribute__((visibility("default")))

#pragma GCC visibility push(default)
namespace ultramarine::fake {

/// The program broke a rule of CUDA, NCCL or of a kernel: says which and aborts.
[[noreturn]] void violation(const char* format, ...) __attribute__((format(printf, 1, 2)));

/// Runs `task` on `stream`, in its order.
cudaError_t enqueue(cudaStream_t stream, std::function<void()> task);
/// Device of a living stream; -1 for any other value.
int device_of(cudaStream_t stream);

/// Whether [address, address + bytes) lies inside one living allocation of device memory; which device.
bool is_device_memory(const void* address, std::size_t bytes, int* device = nullptr);
/// Where the bytes behind a device address really are; host addresses stay as they are.
void* host_view(const void* address);

/// How a kernel is run by the emulation: `run` with arguments that `copy` took from a launch.
struct EmulatedKernel {
  void (*run)(dim3 grid, dim3 block, std::size_t shared_bytes, void* arguments);
  void* (*copy)(void** arguments);
  void (*drop)(void* arguments);
};
/// `name` without namespaces, unique in the program.
void register_kernel(const char* name, EmulatedKernel kernel);
/// What a launch does before anything else: a kernel's first launch on a device loads it.
void load_kernel(const void* kernel);
/// Whether a GPU of compute capability 9.0 takes a launch of this shape.
bool is_valid_launch(dim3 grid, dim3 block, std::size_t shared_bytes);

// ---- shared by the files of this folder alone ----

int environment_number(const char* name, int otherwise);
int device_count();
int current_device();
void set_current_device(int device);
/// Keeps the error for cudaGetLastError; every exported function returns through it.
cudaError_t remember(cudaError_t error);
/// The error that stays once the device failed (>= 700); cudaSuccess before.
cudaError_t sticky_error();

/// What FAKE_CUDA_FAULT wants of this call of `function`.
struct Fault {
  cudaError_t error = cudaSuccess;
  bool skip = false;
};
Fault next_fault(const char* function);

/// First line of an exported function: injected faults, and the sticky error.
#define FAKE_CUDA_ENTER(function)                                                                      \
  do {                                                                                                 \
    const ::ultramarine::fake::Fault fault_of_call = ::ultramarine::fake::next_fault(#function);       \
    if (fault_of_call.skip) return cudaSuccess;                                                        \
    if (fault_of_call.error != cudaSuccess) return ::ultramarine::fake::remember(fault_of_call.error); \
  } while (false)

cudaError_t wait_until_idle(cudaStream_t stream);
/// All work enqueued so far on all streams of `device` is done.
void wait_until_device_idle(int device);
/// The same, but nobody may count on it: ThreadSanitizer isn't told.
void wait_as_if_by_chance(int device);

}  // namespace ultramarine::fake
#pragma GCC visibility pop
