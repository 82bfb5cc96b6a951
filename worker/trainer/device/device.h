// Where a model computes: memory, streams of work and events, on the CPU or on a GPU. The one idea: every call that
// takes a Stream only queues work, and the host learns of results by copy_to_host and synchronize alone; a CPU does the
// work at once, which is one of the allowed orders. It knows bytes; what is computed is in operations.h.
#pragma once

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace ultramarine::trainer {

template <class Real>
class ModelOperations;
class TrainingOperations;

/// The device failed, or has no memory left: one line with the operation and the device's own words.
struct DeviceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A point in a stream's work.
class Event {
 public:
  virtual ~Event() = default;
  /// Whether the work before the last record is done; true before the first record.
  virtual bool done() const = 0;
};

/// Work that a device does in order. Used by one thread.
class Stream {
 public:
  virtual ~Stream() = default;
  /// `from` may change as soon as this returns.
  virtual void copy_to_device(void* to, const void* from, std::size_t bytes) = 0;
  /// `to` holds the bytes after synchronize().
  virtual void copy_to_host(void* to, const void* from, std::size_t bytes) = 0;
  virtual void clear(void* memory, std::size_t bytes) = 0;
  virtual void record(Event& event) = 0;
  /// What is queued from now on runs after what `event` has recorded by now.
  virtual void wait(const Event& event) = 0;
  virtual bool done() const = 0;
  /// Returns when all queued work is done. Throws DeviceError when some of it failed.
  virtual void synchronize() = 0;
  /// cudaStream_t, as collectives::Stream wants it; null on the CPU.
  virtual void* handle() const = 0;
};

/// All calls come from the thread that made the device.
class Device {
 public:
  virtual ~Device() = default;
  virtual std::string_view kind() const = 0;  // cpu, cuda
  virtual int index() const = 0;              // among the devices of its kind
  /// For people: `cpu`, `cuda 0: NVIDIA H100 80GB HBM3`.
  virtual std::string description() const = 0;
  /// Whether the host may use addresses of this device.
  virtual bool is_host_memory() const = 0;

  /// Aligned to 64 bytes at least, content undefined. Throws DeviceError.
  virtual void* allocate(std::size_t bytes) = 0;
  virtual void release(void* memory) noexcept = 0;
  virtual std::unique_ptr<Stream> make_stream() = 0;
  virtual std::unique_ptr<Event> make_event() = 0;
  virtual const ModelOperations<float>& model_operations() const = 0;
  virtual const TrainingOperations& training_operations() const = 0;
};

/// `count` elements of device memory, owned; content undefined at first. The device must outlive it.
template <class T>
class DeviceArray {
 public:
  DeviceArray() = default;
  DeviceArray(Device& device, std::size_t count)
      : device_(&device), data_(static_cast<T*>(device.allocate(count * sizeof(T)))), count_(count) {}
  DeviceArray(DeviceArray&& other) noexcept
      : device_(other.device_), data_(std::exchange(other.data_, nullptr)), count_(std::exchange(other.count_, 0)) {}
  DeviceArray& operator=(DeviceArray&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
    return *this;
  }
  ~DeviceArray() {
    if (data_) device_->release(data_);
  }

  T* data() const { return data_; }
  std::size_t size() const { return count_; }
  std::size_t bytes() const { return count_ * sizeof(T); }

 private:
  Device* device_ = nullptr;
  T* data_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace ultramarine::trainer
