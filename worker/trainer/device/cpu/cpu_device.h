// The CPU as a device: work is done when it is queued, so streams and events have nothing to remember. One for all
// ranks of a process.
#pragma once

#include "worker/trainer/device/device.h"
#include "worker/trainer/device/operations.h"

namespace ultramarine::trainer {

Device& cpu_device();
/// Of cpu_device(); float and double (for checking gradients).
template <class Real>
const ModelOperations<Real>& cpu_model_operations();

}  // namespace ultramarine::trainer
