// Devices, errors and injected faults of the fake CUDA runtime.
#include <unistd.h>

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include "fake_cuda.h"
#include "ordering.h"

namespace ultramarine::fake {
namespace {

constexpr int device_count_max = 64;

thread_local int device_of_thread = 0;
thread_local cudaError_t last_error = cudaSuccess;
std::atomic<int> sticky = cudaSuccess;

// Texts of the real library, compared with it where it is installed (tests/gpu/conformance.cpp).
struct ErrorText {
  cudaError_t error;
  const char *name, *text;
};
constexpr ErrorText error_texts[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorStubLibrary, "cudaErrorStubLibrary", "CUDA driver is a stub library"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorInvalidDeviceFunction, "cudaErrorInvalidDeviceFunction", "invalid device function"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorECCUncorrectable, "cudaErrorECCUncorrectable", "uncorrectable ECC error encountered"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    {cudaErrorLaunchTimeout, "cudaErrorLaunchTimeout", "the launch timed out and was terminated"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorUnknown, "cudaErrorUnknown", "unknown error"},
};

}  // namespace

void violation(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::fprintf(stderr, "FAKE GPU: rule broken (pid %d): ", getpid());
  std::vfprintf(stderr, format, arguments);
  std::fputc('\n', stderr);
  std::fflush(stderr);
  std::abort();
}

int environment_number(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  return text && *text ? std::atoi(text) : otherwise;
}

int device_count() {
  static const int count = environment_number("FAKE_CUDA_DEVICES", 1);
  if (count > device_count_max) violation("FAKE_CUDA_DEVICES: at most %d", device_count_max);
  return count;
}
int current_device() { return device_of_thread; }
void set_current_device(int device) { device_of_thread = device; }

cudaError_t remember(cudaError_t error) {
  // Line 763: not ready is no error.
  if (error != cudaSuccess && error != cudaErrorNotReady) last_error = error;
  return error;
}
cudaError_t sticky_error() { return static_cast<cudaError_t>(sticky.load()); }

Fault next_fault(const char* function) {
  // driver_types.h, line 771: once the device has failed, "any further CUDA work will return the same error".
  if (const cudaError_t stays = sticky_error(); stays != cudaSuccess) return {stays, false};
  static const char* wanted = std::getenv("FAKE_CUDA_FAULT");
  if (!wanted) return {};
  static Lock lock;
  static std::map<std::string, int> calls;
  const Guard guard(lock);
  const int call = ++calls[function];
  for (const char* entry = wanted; entry; entry = std::strchr(entry, ',')) {
    if (*entry == ',') ++entry;
    char name[64] = "", what[16] = "";
    int number = 0;
    if (std::sscanf(entry, "%63[^:,]:%d:%15[^,]", name, &number, what) != 3)
      violation("FAKE_CUDA_FAULT: \"%s\" isn't FUNCTION:CALL:ERROR", entry);
    if (std::strcmp(name, function) != 0 || number != call) continue;
    if (std::strcmp(what, "skip") == 0) return {cudaSuccess, true};
    const auto error = static_cast<cudaError_t>(std::atoi(what));
    if (error >= cudaErrorIllegalAddress) sticky.store(error);
    return {error, false};
  }
  return {};
}

}  // namespace ultramarine::fake

using namespace ultramarine::fake;

FAKE_API cudaError_t cudaGetDeviceCount(int* count) {
  *count = 0;
  FAKE_CUDA_ENTER(cudaGetDeviceCount);
  *count = device_count();
  return remember(*count > 0 ? cudaSuccess : cudaErrorNoDevice);
}
FAKE_API cudaError_t cudaSetDevice(int device) {
  FAKE_CUDA_ENTER(cudaSetDevice);
  if (device < 0 || device >= device_count()) return remember(cudaErrorInvalidDevice);
  set_current_device(device);  // line 1625: of "this host thread" alone
  return cudaSuccess;
}
FAKE_API cudaError_t cudaGetDevice(int* device) {
  *device = current_device();
  return cudaSuccess;
}
FAKE_API cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
FAKE_API cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
FAKE_API cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  FAKE_CUDA_ENTER(cudaGetDeviceProperties);
  if (device < 0 || device >= device_count()) return remember(cudaErrorInvalidDevice);
  std::memset(properties, 0, sizeof *properties);
  std::snprintf(properties->name, sizeof properties->name, "fake GPU (host memory)");
  properties->major = 9;
  properties->warpSize = 32;
  properties->multiProcessorCount = 132;
  properties->maxThreadsPerBlock = 1024;
  properties->sharedMemPerBlock = 48 << 10;
  properties->sharedMemPerBlockOptin = 227 << 10;
  properties->totalGlobalMem = static_cast<std::size_t>(environment_number("FAKE_CUDA_MEMORY_MB", 4096)) << 20;
  return cudaSuccess;
}
FAKE_API cudaError_t cudaDeviceGetPCIBusId(char* text, int length, int device) {
  FAKE_CUDA_ENTER(cudaDeviceGetPCIBusId);
  if (device < 0 || device >= device_count()) return remember(cudaErrorInvalidDevice);
  std::snprintf(text, static_cast<std::size_t>(length), "FAKE:00:%02x.0", device);
  return cudaSuccess;
}
FAKE_API cudaError_t cudaDeviceSynchronize() {
  FAKE_CUDA_ENTER(cudaDeviceSynchronize);
  wait_until_device_idle(current_device());
  return remember(sticky_error());
}
FAKE_API cudaError_t cudaGetLastError() {
  const cudaError_t error = last_error;
  last_error = cudaSuccess;  // line 1121: "resets it to cudaSuccess"; a sticky error comes again
  return sticky_error() != cudaSuccess ? sticky_error() : error;
}
FAKE_API cudaError_t cudaPeekAtLastError() { return sticky_error() != cudaSuccess ? sticky_error() : last_error; }
FAKE_API const char* cudaGetErrorName(cudaError_t error) {
  for (const ErrorText& known : error_texts) {
    if (known.error == error) return known.name;
  }
  violation("cudaGetErrorName: the fake knows no name of error %d", static_cast<int>(error));
}
FAKE_API const char* cudaGetErrorString(cudaError_t error) {
  for (const ErrorText& known : error_texts) {
    if (known.error == error) return known.text;
  }
  violation("cudaGetErrorString: the fake knows no text of error %d", static_cast<int>(error));
}
