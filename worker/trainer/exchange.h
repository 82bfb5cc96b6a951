// Collectives on memory wherever it lies: straight through the communicator where it reaches that memory, else by way
// of a copy on the other side. Every call waits until it is done. Knows no model.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "collectives/communicator.h"
#include "worker/trainer/device/device.h"

namespace ultramarine::trainer {

class Exchange {
 public:
  /// All must outlive it. `stream` is what device memory is used by; collectives are ordered with it.
  Exchange(collectives::Communicator& communicator, Device& device, Stream& stream, std::chrono::milliseconds deadline);

  using Start = std::function<std::unique_ptr<collectives::Pending>(collectives::Buffer, collectives::Stream)>;
  /// Runs a collective in place on `buffer`. A gang of one whose communicator doesn't reach the memory does nothing.
  /// Throws CollectiveError, DeviceError.
  void run(collectives::Buffer buffer, const Start& start);
  void reduce(collectives::Buffer buffer, collectives::Operation operation);
  /// Of rank 0's bytes.
  void broadcast(collectives::Buffer buffer);

  /// `array` as a buffer of the device.
  collectives::Buffer buffer_of(const DeviceArray<float>& array) const;

 private:
  collectives::Communicator& communicator_;
  Device& device_;
  Stream& stream_;
  std::chrono::milliseconds deadline_;
};

}  // namespace ultramarine::trainer
