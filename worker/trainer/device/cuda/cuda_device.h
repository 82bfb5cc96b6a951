// A GPU as a device. Part of libultramarine_cuda.so: the only folder of this room that includes CUDA's headers.
#pragma once

#include <memory>

#include "worker/trainer/device/device.h"

namespace ultramarine::trainer::cuda {

/// Device `index` among those that this process sees; becomes the calling thread's current device. Throws DeviceError.
std::unique_ptr<Device> make_cuda_device(int index);

}  // namespace ultramarine::trainer::cuda
