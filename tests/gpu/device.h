// What the tests of the CUDA device share: the device of the plug-in that ULTRAMARINE_CUDA_PLUGIN names (the real one,
// or its twin on a fake GPU), and arrays on it.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "collectives/cuda_plugin.h"
#include "worker/trainer/device/device.h"
#include "worker/trainer/device/operations.h"

namespace ultramarine::trainer {

/// Why there is no device to test; empty if there are `devices` of them.
inline std::string why_no_cuda(int devices = 1) {
  const collectives::LoadedPlugin& loaded = collectives::cuda_plugin();
  if (!loaded.plugin) return loaded.reason;
  const std::string reason = loaded.plugin->why_unusable();
  if (!reason.empty()) return reason;
  if (loaded.plugin->device_count() < devices) {
    return "needs " + std::to_string(devices) + " GPUs, this process sees " +
           std::to_string(loaded.plugin->device_count());
  }
  return "";
}

inline std::unique_ptr<Device> make_cuda_device(int index = 0) {
  return std::unique_ptr<Device>(static_cast<Device*>(collectives::cuda_plugin().plugin->make_device(index)));
}

/// A device, a stream on it, and copies to and fro.
class OnCuda : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string reason = why_no_cuda(); !reason.empty()) GTEST_SKIP() << reason;
    device_ = make_cuda_device();
    stream_ = device_->make_stream();
  }
  template <class T>
  DeviceArray<T> upload(const std::vector<T>& values) {
    DeviceArray<T> array(*device_, values.size());
    stream_->copy_to_device(array.data(), values.data(), array.bytes());
    return array;
  }
  DeviceArray<float> up(const std::vector<float>& values) { return upload(values); }
  DeviceArray<float> up(const std::vector<double>& values) {
    return upload(std::vector<float>(values.begin(), values.end()));
  }
  /// Filled with NaN.
  DeviceArray<float> room(std::size_t count) { return upload(std::vector<float>(count, std::nanf(""))); }
  template <class T>
  std::vector<T> down(const DeviceArray<T>& array) {
    std::vector<T> values(array.size());
    stream_->copy_to_host(values.data(), array.data(), array.bytes());
    stream_->synchronize();
    return values;
  }

  std::unique_ptr<Device> device_;
  std::unique_ptr<Stream> stream_;
};

}  // namespace ultramarine::trainer
