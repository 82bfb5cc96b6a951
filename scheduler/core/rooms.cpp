// See rooms.h.
#include "scheduler/core/rooms.h"

#include <algorithm>

#include "scheduler/core/ensure.h"

namespace ultramarine::core {

Rooms::Rooms(const std::vector<TimelineNode>& nodes) {
  rooms_.reserve(nodes.size());
  for (const TimelineNode& node : nodes) {
    const std::int64_t devices = std::max<std::int64_t>(node.devices, 0);
    rooms_.push_back({.size = node, .free = devices, .ahead_of = std::vector(static_cast<std::size_t>(devices), nobody)});
    free_ += devices;
  }
}

void Rooms::hold(std::size_t node, std::int64_t device, const Stay& stay, std::size_t ahead_of) {
  Room& room = rooms_[node];
  std::size_t& holder = room.ahead_of[static_cast<std::size_t>(device)];
  ensure(holder == nobody, "a device is given only while it is free");
  holder = ahead_of;
  --room.free, --free_;
  room.cpus += stay.cpus;
  room.memory_bytes += stay.memory_bytes;
}

void Rooms::give_back(std::size_t node, std::int64_t device, const Stay& stay) {
  Room& room = rooms_[node];
  room.ahead_of[static_cast<std::size_t>(device)] = nobody;
  ++room.free, ++free_;
  room.cpus -= stay.cpus;
  room.memory_bytes -= stay.memory_bytes;
}

void Rooms::take(const Fit& fit, const Needs& needs) {
  const Stay stay = stay_of({}, fit.start, forever, needs);
  for (const Fit::OnNode& on_node : fit.nodes)
    for (const std::int64_t device : on_node.devices) hold(on_node.node, device, stay, 0);
}

void Rooms::give_back(const Fit& fit, const Needs& needs) {
  const Stay stay = stay_of({}, fit.start, forever, needs);
  for (const Fit::OnNode& on_node : fit.nodes)
    for (const std::int64_t device : on_node.devices) give_back(on_node.node, device, stay);
}

std::vector<std::int64_t> Rooms::free_devices(std::size_t node, std::size_t count) const {
  const std::vector<std::size_t>& ahead_of = rooms_[node].ahead_of;
  std::vector<std::int64_t> devices;
  devices.reserve(count);
  for (std::size_t device = 0; device < ahead_of.size() && devices.size() < count; ++device)
    if (ahead_of[device] == nobody) devices.push_back(static_cast<std::int64_t>(device));
  ensure(devices.size() == count, "devices are given only while they are free");
  return devices;
}

std::int64_t Rooms::free(std::size_t index, const Needs& needs) const {
  const Room& room = rooms_[index];
  if (needs.exclusive && room.free < room.size.devices) return 0;
  std::int64_t devices = room.free;
  if (needs.cpus_per_gpu > 0 && room.size.cpus > 0) devices = std::min(devices, (room.size.cpus - room.cpus) / needs.cpus_per_gpu);
  if (needs.memory_per_gpu_bytes > 0 && room.size.memory_bytes > 0)
    devices = std::min(devices, (room.size.memory_bytes - room.memory_bytes) / needs.memory_per_gpu_bytes);
  return std::max<std::int64_t>(devices, 0);
}

std::int64_t Rooms::usable(std::size_t index, const PlaceRequest& request) const {
  const std::int64_t devices = free(index, request.needs);
  if (!request.closed) return devices;
  for (const Interval& closed : (*request.closed)[index])
    if (closed.start < request.from + request.length && request.from < closed.end) return 0;
  return devices;
}

bool Rooms::has_room(const PlaceRequest& request) const {
  std::int64_t for_a_part = 0, for_the_remainder = 0;
  for (const std::size_t node : request.nodes) {
    const std::int64_t devices = usable(node, request);
    for_a_part += devices >= request.shape.devices_per_part ? 1 : 0;
    for_the_remainder += devices >= request.shape.remainder ? 1 : 0;
  }
  return for_a_part >= request.shape.parts && (request.shape.remainder == 0 || for_the_remainder >= request.shape.parts + 1);
}

std::optional<Fit> Rooms::fit(const PlaceRequest& request, const policy::Placement& placement) const {
  if (!has_room(request)) return std::nullopt;
  std::vector<policy::Offer> offers;
  offers.reserve(request.nodes.size());
  for (const std::size_t index : request.nodes) {
    const Room& room = rooms_[index];
    policy::Offer& offer = offers.emplace_back();
    offer.node = index;
    offer.leaf = room.size.leaf;
    offer.devices = usable(index, request);
    offer.left_by_jobs_ahead = std::count_if(room.ahead_of.begin(), room.ahead_of.end(), [&](std::size_t ahead_of) { return ahead_of > request.position; });
  }
  Fit fit{request.from, {}};
  for (const policy::NodeShare& share : placement.place(request.shape, offers)) {
    const std::int64_t taken = request.needs.exclusive ? rooms_[share.node].size.devices : share.devices;
    fit.nodes.push_back({share.node, free_devices(share.node, static_cast<std::size_t>(taken))});
  }
  return fit;
}

Stay stay_of(JobId job, Time start, Time end, const Needs& needs) {
  if (needs.exclusive) return {start, end, job};
  return {start, end, job, needs.cpus_per_gpu, needs.memory_per_gpu_bytes};
}

}  // namespace ultramarine::core
