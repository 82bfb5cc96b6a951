// Which device a run computes on: what the user asked for, what there is, and why.
#pragma once

#include <memory>
#include <string>

#include "worker/trainer/device/device.h"

namespace ultramarine::trainer {

struct DeviceChoice {
  bool cuda = false;
  int devices = 1;     // of its kind, that this process sees
  std::string reason;  // one line for people: why this one
};

/// `word` is auto, cpu or cuda. auto takes CUDA where it can be used. Throws InputError for `cuda` that can't be used,
/// with the exact reason, and for another word.
DeviceChoice choose_device(const std::string& word);

/// Device `index` of the chosen kind (the CPU has one). From the thread that will use it. Throws DeviceError.
std::shared_ptr<Device> make_device(const DeviceChoice& choice, int index);

}  // namespace ultramarine::trainer
