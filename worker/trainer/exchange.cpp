#include "worker/trainer/exchange.h"

#include "worker/trainer/arena.h"

namespace ultramarine::trainer {

using collectives::Buffer;
using collectives::Residence;

Exchange::Exchange(collectives::Communicator& communicator, Device& device, Stream& stream,
                   std::chrono::milliseconds deadline)
    : communicator_(communicator), device_(device), stream_(stream), deadline_(deadline) {}

void Exchange::run(Buffer buffer, const Start& start) {
  const collectives::Capabilities& can = communicator_.capabilities();
  const bool on_device = buffer.residence == Residence::device;
  if (on_device ? can.device_buffers : can.host_buffers) {
    start(buffer, {stream_.handle()})->wait(deadline_);
    return;
  }
  if (communicator_.world_size() == 1) return;
  const std::size_t bytes = bytes_of(buffer);
  if (on_device) {
    Arena<char> staged(bytes);
    stream_.copy_to_host(staged.data(), buffer.data, bytes);
    stream_.synchronize();
    start({staged.data(), buffer.count, buffer.type, Residence::host}, {})->wait(deadline_);
    stream_.copy_to_device(buffer.data, staged.data(), bytes);
  } else {
    const DeviceArray<char> staged(device_, bytes);
    stream_.copy_to_device(staged.data(), buffer.data, bytes);
    start({staged.data(), buffer.count, buffer.type, Residence::device}, {stream_.handle()})->wait(deadline_);
    stream_.copy_to_host(buffer.data, staged.data(), bytes);
    stream_.synchronize();
  }
}

void Exchange::reduce(Buffer buffer, collectives::Operation operation) {
  run(buffer, [&](Buffer reachable, collectives::Stream stream) {
    return communicator_.all_reduce(reachable, operation, stream);
  });
}

void Exchange::broadcast(Buffer buffer) {
  run(buffer,
      [&](Buffer reachable, collectives::Stream stream) { return communicator_.broadcast(reachable, 0, stream); });
}

Buffer Exchange::buffer_of(const DeviceArray<float>& array) const {
  return {array.data(), array.size(), collectives::DataType::float32,
          device_.is_host_memory() ? Residence::host : Residence::device};
}

}  // namespace ultramarine::trainer
