// Finding and opening the plug-in. A plug-in is never closed: its libraries keep threads and static state of their own.
#include "collectives/cuda_plugin.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace ultramarine::collectives {
namespace {

constexpr const char* plugin_file = "libultramarine_cuda.so";
constexpr const char* entry_name = "ultramarine_cuda_plugin";

LoadedPlugin find() {
  if (const char* named = std::getenv("ULTRAMARINE_CUDA_PLUGIN"); named && *named) return load_cuda_plugin(named);
  std::error_code none;
  const std::filesystem::path beside = std::filesystem::read_symlink("/proc/self/exe", none).parent_path();
  const std::filesystem::path installed = (beside / "../lib/ultramarine").lexically_normal();
  for (const auto& folder : {beside, installed}) {
    if (std::filesystem::exists(folder / plugin_file, none)) return load_cuda_plugin((folder / plugin_file).string());
  }
  LoadedPlugin loaded = load_cuda_plugin(plugin_file);
  if (!loaded.plugin &&
      loaded.reason.find(std::string(plugin_file) + ": cannot open shared object file") != std::string::npos) {
    loaded.reason = std::string("CUDA: ") + plugin_file + " was not found in " + beside.string() + ", " +
                    installed.string() +
                    " or on the loader's path: install ultramarine-cuda, or build where the CUDA Toolkit and NCCL are";
  }
  return loaded;
}

}  // namespace

LoadedPlugin load_cuda_plugin(const std::string& file) {
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char* why = dlerror();
    std::string reason = "CUDA: " + file + " can't be loaded: " + (why ? why : "unknown reason");
    for (const char* needed : {"libcudart.so", "libnccl.so", "libcublas"}) {
      if (reason.find(needed) != std::string::npos) {
        reason += ": install the CUDA 13 runtime and NCCL 2, or name their folder in LD_LIBRARY_PATH";
        break;
      }
    }
    return {nullptr, reason};
  }
  using Entry = const CudaPlugin* (*)();
  const auto entry = reinterpret_cast<Entry>(dlsym(library, entry_name));
  if (!entry) return {nullptr, "CUDA: " + file + " is no plug-in of this project: it lacks " + entry_name};
  const CudaPlugin* plugin = entry();
  if (!plugin || plugin->version != cuda_plugin_version) {
    return {nullptr, "CUDA: " + file + " is of another version (" +
                         (plugin ? std::to_string(plugin->version) : "none") + ", this program needs " +
                         std::to_string(cuda_plugin_version) +
                         "): install ultramarine and ultramarine-cuda of the same version"};
  }
  return {plugin, ""};
}

const LoadedPlugin& cuda_plugin() {
  static const LoadedPlugin loaded = find();
  return loaded;
}

}  // namespace ultramarine::collectives
