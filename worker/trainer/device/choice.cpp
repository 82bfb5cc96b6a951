// Asks the plug-in, which is loaded only where a GPU may be wanted.
#include "worker/trainer/device/choice.h"

#include <cstdlib>

#include "collectives/cuda_plugin.h"
#include "worker/trainer/corpus.h"
#include "worker/trainer/device/cpu/cpu_device.h"

namespace ultramarine::trainer {
namespace {

/// Why CUDA can't be used here; empty if it can.
std::string why_no_cuda() {
  const collectives::LoadedPlugin& loaded = collectives::cuda_plugin();
  return loaded.plugin ? loaded.plugin->why_unusable() : loaded.reason;
}

}  // namespace

DeviceChoice choose_device(const std::string& word) {
  if (word == "cpu") return {.reason = "--device cpu"};
  if (word != "auto" && word != "cuda") throw InputError("--device: \"" + word + "\" is none of auto, cpu, cuda");
  // Virtual devices, and whoever wants no GPU, say so by an empty list.
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  std::string reason =
      visible && !*visible ? "CUDA: CUDA_VISIBLE_DEVICES is empty: no GPU for this process" : why_no_cuda();
  if (!reason.empty()) {
    if (word == "cuda") throw InputError("--device: cuda can't be used: " + reason);
    return {.reason = reason};
  }
  const int devices = collectives::cuda_plugin().plugin->device_count();
  return {.cuda = true,
          .devices = devices,
          .reason = word == "cuda" ? "--device cuda" : "this process sees " + std::to_string(devices) + " of them"};
}

std::shared_ptr<Device> make_device(const DeviceChoice& choice, int index) {
  if (!choice.cuda) return {&cpu_device(), [](Device*) {}};
  return std::shared_ptr<Device>(static_cast<Device*>(collectives::cuda_plugin().plugin->make_device(index)));
}

}  // namespace ultramarine::trainer
