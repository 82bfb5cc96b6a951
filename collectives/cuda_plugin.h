// What libultramarine_cuda.so gives: the GPU half of this project behind one C symbol. It is loaded on demand, so that
// everything starts on machines without CUDA; what goes through it are C++ types of the same build.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "collectives/communicator.h"

namespace ultramarine::collectives {

/// Raised with every change of a type that goes through the plug-in.
constexpr int cuda_plugin_version = 1;

/// One rank's way into a gang over NCCL.
struct NcclWorld {
  int rank = 0;
  int world_size = 1;
  int device = 0;                              // index among the devices that this process sees
  std::chrono::milliseconds deadline{300000};  // for the whole gang to have joined
  /// Gives rank 0's bytes to every rank; called once by every rank. Throws CollectiveError.
  std::function<std::string(const std::string& from_root)> exchange;
};

/// Memory functions and why_unusable may be called from any thread. "The current device" is the calling thread's.
struct CudaPlugin {
  int version;                    // cuda_plugin_version of its build
  std::string (*why_unusable)();  // "" = usable; else e.g. `CUDA: no usable GPU: CUDA driver version is insufficient
                                  // for CUDA runtime version (35)`
  int (*device_count)();          // 0 when unusable
  void (*use_device)(int index);  // makes it the calling thread's current one; throws CollectiveError
  std::unique_ptr<Communicator> (*make_nccl)(const NcclWorld& world);  // throws CollectiveError
  void* (*allocate)(std::size_t bytes);  // device memory on the current device; throws CollectiveError
  void (*release)(void* memory);
  void (*copy_to_device)(void* to, const void* from, std::size_t bytes);  // synchronous
  void (*copy_to_host)(void* to, const void* from, std::size_t bytes);    // synchronous
  void* (*make_device)(int index);  // a trainer::Device*, owned by the caller; collectives doesn't know the type
};

struct LoadedPlugin {
  const CudaPlugin* plugin = nullptr;  // lives as long as the process
  std::string reason;                  // why there is none: which file, what is missing, what to install
};

/// Loads libultramarine_cuda.so at the first call. ULTRAMARINE_CUDA_PLUGIN names another file; otherwise it is looked
/// for beside the program, in ../lib/ultramarine, and on the loader's path. A loaded plug-in can still be unusable (no
/// GPU).
const LoadedPlugin& cuda_plugin();

/// The same without a memory, for one named file. Throws nothing.
LoadedPlugin load_cuda_plugin(const std::string& file);

}  // namespace ultramarine::collectives

extern "C" const ultramarine::collectives::CudaPlugin* ultramarine_cuda_plugin();
