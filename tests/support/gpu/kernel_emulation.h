// What the words of CUDA's kernel language mean when an ordinary C++ compiler reads a .cu file: the threads of a block
// are fibers of one thread, a block runs after the other. Included by worker/trainer/device/cuda/kernel.h when nvcc
// isn't the compiler, so that the very source of a kernel runs under gdb, ThreadSanitizer and AddressSanitizer. It
// knows nothing of the kernels.
//
// Found while a kernel runs, and reported with source lines: barriers and warp operations that some threads never
// reach, different
// __syncthreads in one block, masks without the caller, lanes read that took no part. EMULATION_SEED=n runs the threads
// of a block in another order, so that a missing barrier gives other results.
#pragma once

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#include "fake_cuda.h"

#pragma GCC visibility push(default)
namespace ultramarine::emulation {

// Of the fiber that runs.
extern constinit thread_local uint3 thread_index, block_index;
extern constinit thread_local dim3 block_size, grid_size;

void* dynamic_shared_memory();
int lane();

/// Where a barrier or warp operation stands in the source.
struct Place {
  const char* file;
  int line;
};
void barrier(Place place);
enum class WarpOperation { shuffle, ballot, barrier };
/// Waits for the lanes of `mask`. shuffle: the value that `source_lane` gave; ballot: bit i = lane i gave not 0.
std::uint64_t warp(WarpOperation operation, unsigned mask, std::uint64_t value, int source_lane, Place place);
/// Runs body(context) once per thread of the grid.
void run_grid(dim3 grid, dim3 block, std::size_t shared_bytes, void (*body)(void*), void* context);

template <class T>
T shuffle(unsigned mask, T value, int source_lane, Place place) {
  static_assert(sizeof(T) <= sizeof(std::uint64_t));
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = warp(WarpOperation::shuffle, mask, bits, source_lane, place);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// A kernel argument as the kernel sees it: device addresses become the places of the bytes.
template <class T>
T argument(T value) {
  if constexpr (std::is_pointer_v<T>) {
    return static_cast<T>(fake::host_view(value));
  } else {
    static_assert(std::is_arithmetic_v<T> || requires { requires T::holds_no_pointers; },
                  "kernel arguments are numbers and pointers: a pointer inside a struct would be missed");
    return value;
  }
}

template <class... Parameters>
struct Call {
  void (*kernel)(Parameters...);
  std::tuple<Parameters...> arguments;
  static void thread(void* call) { std::apply(static_cast<Call*>(call)->kernel, static_cast<Call*>(call)->arguments); }
};

template <auto kernel>
struct Registration;
template <class... Parameters, void (*kernel)(Parameters...)>
struct Registration<kernel> {
  using Own = Call<Parameters...>;
  static void run(dim3 grid, dim3 block, std::size_t shared_bytes, void* call) {
    run_grid(grid, block, shared_bytes, Own::thread, call);
  }
  template <std::size_t... index>
  static void* copy_all(void** arguments, std::index_sequence<index...>) {
    return new Own{kernel, {argument(*static_cast<Parameters*>(arguments[index]))...}};
  }
  static void* copy(void** arguments) { return copy_all(arguments, std::index_sequence_for<Parameters...>{}); }
  static void drop(void* call) { delete static_cast<Own*>(call); }
  explicit Registration(const char* name) { fake::register_kernel(name, {run, copy, drop}); }
};

/// As cudaLaunchKernelEx, for a kernel that an ordinary compiler compiled.
template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
                   Arguments... arguments) {
  FAKE_CUDA_ENTER(cudaLaunchKernel);
  if (!fake::is_valid_launch(grid, block, shared_bytes)) return fake::remember(cudaErrorInvalidValue);
  fake::load_kernel(reinterpret_cast<const void*>(kernel));
  Call<Parameters...> call{kernel, {argument(static_cast<Parameters>(arguments))...}};
  return fake::remember(fake::enqueue(
      stream, [=]() mutable { run_grid(grid, block, shared_bytes, Call<Parameters...>::thread, &call); }));
}

}  // namespace ultramarine::emulation
#pragma GCC visibility pop

#undef __shared__
#define __shared__ static thread_local  // blocks run one after the other, each on one thread
#undef __launch_bounds__
#define __launch_bounds__(...)
#define threadIdx ::ultramarine::emulation::thread_index
#define blockIdx ::ultramarine::emulation::block_index
#define blockDim ::ultramarine::emulation::block_size
#define gridDim ::ultramarine::emulation::grid_size

#define EMULATION_PLACE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(EMULATION_PLACE) { ultramarine::emulation::barrier({file, line}); }
inline void __syncwarp(unsigned mask = ~0U, EMULATION_PLACE) {
  ultramarine::emulation::warp(ultramarine::emulation::WarpOperation::barrier, mask, 0, 0, {file, line});
}
inline unsigned __ballot_sync(unsigned mask, int predicate, EMULATION_PLACE) {
  return static_cast<unsigned>(ultramarine::emulation::warp(ultramarine::emulation::WarpOperation::ballot, mask,
                                                            predicate != 0 ? 1 : 0, 0, {file, line}));
}
template <class T>
T __shfl_sync(unsigned mask, T value, int source_lane, EMULATION_PLACE) {
  return ultramarine::emulation::shuffle(mask, value, source_lane & 31, {file, line});
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, int distance, EMULATION_PLACE) {
  const int own = ultramarine::emulation::lane(), source = own + distance;
  return ultramarine::emulation::shuffle(mask, value, source < 32 ? source : own, {file, line});
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, EMULATION_PLACE) {
  return ultramarine::emulation::shuffle(mask, value, ultramarine::emulation::lane() ^ lane_mask, {file, line});
}
