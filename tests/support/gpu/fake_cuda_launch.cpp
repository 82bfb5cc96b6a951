// Kernel launches of the fake CUDA runtime, also those of objects that nvcc made: their host stubs register themselves
// with a mangled name, which selects the kernel that the emulation registered under the same name.
#include <cxxabi.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fake_cuda.h"
#include "ordering.h"

// What nvcc's code calls besides the runtime's interface; crt/host_runtime.h declares these where it is included.
FAKE_API void** __cudaRegisterFatBinary(void* binary);
FAKE_API void __cudaRegisterFatBinaryEnd(void** handle);
FAKE_API void __cudaUnregisterFatBinary(void** handle);
FAKE_API void __cudaRegisterVar(void** handle, char* host, char* device, const char* name, int external,
                                std::size_t bytes, int constant, int global);
FAKE_API void __cudaRegisterFunction(void** handle, const char* host, char* device, const char* name, int thread_limit,
                                     uint3* thread, uint3* block, dim3* block_size, dim3* grid_size, int* warp_size);
FAKE_API cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* function);
FAKE_API cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments,
                                        std::size_t shared_bytes, cudaStream_t stream);
FAKE_API unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, std::size_t shared_bytes, CUstream_st* stream);
FAKE_API cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, std::size_t* shared_bytes, void* stream);

namespace ultramarine::fake {
namespace {

std::map<std::string, EmulatedKernel>& emulated_kernels() {
  static auto* all = new std::map<std::string, EmulatedKernel>;
  return *all;
}
std::map<const void*, std::string>& registered_functions() {
  static auto* all = new std::map<const void*, std::string>;
  return *all;
}

Lock lock;  // of the set below
std::set<std::pair<int, const void*>>& loaded_kernels() {
  static auto* all = new std::set<std::pair<int, const void*>>;
  return *all;
}

struct Configuration {
  dim3 grid, block;
  std::size_t shared_bytes;
  cudaStream_t stream;
};
thread_local std::vector<Configuration> configurations;

/// `ns::kernel_name(float const*, int)` -> `kernel_name`
std::string plain_name(const char* mangled) {
  int status = 0;
  char* text = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
  std::string name = status == 0 ? text : mangled;
  std::free(text);
  name.resize(std::min(name.find('('), name.size()));
  const std::size_t colon = name.rfind("::");
  return colon == std::string::npos ? name : name.substr(colon + 2);
}

/// `refused`: the error for a shape that no GPU takes.
cudaError_t launch(const void* function, dim3 grid, dim3 block, void** arguments, std::size_t shared_bytes,
                   cudaStream_t stream, cudaError_t refused) {
  const auto name = registered_functions().find(function);
  if (name == registered_functions().end()) return cudaErrorInvalidDeviceFunction;
  if (!is_valid_launch(grid, block, shared_bytes)) return refused;
  const auto found = emulated_kernels().find(name->second);
  if (found == emulated_kernels().end()) violation("kernel %s has no emulation in this process", name->second.c_str());
  const EmulatedKernel kernel = found->second;
  load_kernel(function);
  void* copies = kernel.copy(arguments);  // line 3726: copied by the call
  return enqueue(stream, [=] {
    kernel.run(grid, block, shared_bytes, copies);
    kernel.drop(copies);
  });
}

}  // namespace

void register_kernel(const char* name, EmulatedKernel kernel) { emulated_kernels()[name] = kernel; }

void load_kernel(const void* kernel) {
  // Programming Guide 4.7 (lazy loading, the default): the first launch may wait for all that its device is doing, so
  // whoever holds a stream until after a launch must have launched that kernel before.
  {
    const Guard guard(lock);
    if (!loaded_kernels().insert({current_device(), kernel}).second) return;
  }
  wait_as_if_by_chance(current_device());
}

bool is_valid_launch(dim3 grid, dim3 block, std::size_t shared_bytes) {
  // Programming Guide, table "Technical specifications per compute capability", column 9.0.
  const bool grid_fits =
      grid.x > 0 && grid.x <= 2147483647U && grid.y > 0 && grid.y <= 65535 && grid.z > 0 && grid.z <= 65535;
  const bool block_fits =
      block.x > 0 && block.y > 0 && block.z > 0 && block.z <= 64 && std::size_t{block.x} * block.y * block.z <= 1024;
  return grid_fits && block_fits && shared_bytes <= 48 << 10;  // more dynamic shared memory needs cudaFuncSetAttribute
}

}  // namespace ultramarine::fake

using namespace ultramarine::fake;

FAKE_API cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments,
                                      std::size_t shared_bytes, cudaStream_t stream) {
  FAKE_CUDA_ENTER(cudaLaunchKernel);
  return remember(launch(function, grid, block, arguments, shared_bytes, stream, cudaErrorInvalidConfiguration));
}
FAKE_API cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* configuration, const void* function,
                                         void** arguments) {
  FAKE_CUDA_ENTER(cudaLaunchKernel);
  return remember(launch(function, configuration->gridDim, configuration->blockDim, arguments,
                         configuration->dynamicSmemBytes, configuration->stream, cudaErrorInvalidValue));
}
FAKE_API cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* function) {
  *kernel = reinterpret_cast<cudaKernel_t>(const_cast<void*>(function));
  return cudaSuccess;
}
FAKE_API cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments,
                                        std::size_t shared_bytes, cudaStream_t stream) {
  return cudaLaunchKernel(kernel, grid, block, arguments, shared_bytes, stream);
}
FAKE_API unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, std::size_t shared_bytes, CUstream_st* stream) {
  configurations.push_back({grid, block, shared_bytes, stream});
  return 0;
}
FAKE_API cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, std::size_t* shared_bytes, void* stream) {
  const Configuration top = configurations.back();
  configurations.pop_back();
  *grid = top.grid;
  *block = top.block;
  *shared_bytes = top.shared_bytes;
  *static_cast<cudaStream_t*>(stream) = top.stream;
  return cudaSuccess;
}
FAKE_API void** __cudaRegisterFatBinary(void*) {
  static void* handle = nullptr;
  return &handle;
}
FAKE_API void __cudaRegisterFatBinaryEnd(void**) {}
FAKE_API void __cudaUnregisterFatBinary(void**) {}
FAKE_API void __cudaRegisterVar(void**, char*, char*, const char*, int, std::size_t, int, int) {}
FAKE_API void __cudaRegisterFunction(void**, const char* host, char*, const char* name, int, uint3*, uint3*, dim3*,
                                     dim3*, int*) {
  registered_functions()[host] = plain_name(name);
}
