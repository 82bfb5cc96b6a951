// The one symbol of libultramarine_cuda.so: NCCL's half from collectives/nccl, the device's from here.
#include "collectives/cuda_plugin.h"
#include "collectives/nccl/device_memory.h"
#include "collectives/nccl/nccl_communicator.h"
#include "worker/trainer/device/cuda/cuda_device.h"

namespace {

using namespace ultramarine;

void* make_device(int index) { return trainer::cuda::make_cuda_device(index).release(); }

constexpr collectives::CudaPlugin plugin{.version = collectives::cuda_plugin_version,
                                         .why_unusable = collectives::why_cuda_is_unusable,
                                         .device_count = collectives::device_count,
                                         .use_device = collectives::use_device,
                                         .make_nccl = collectives::make_nccl,
                                         .allocate = collectives::allocate_device_memory,
                                         .release = collectives::release_device_memory,
                                         .copy_to_device = collectives::copy_to_device,
                                         .copy_to_host = collectives::copy_to_host,
                                         .make_device = make_device};

}  // namespace

extern "C" __attribute__((visibility("default"))) const collectives::CudaPlugin* ultramarine_cuda_plugin() {
  return &plugin;
}
