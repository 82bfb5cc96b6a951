#include "worker/launcher/local_devices.h"

#include <algorithm>

#include "worker/launcher/rank_environment.h"

namespace ultramarine::launcher {
namespace {

const protocol::LocalDevice* find(const protocol::LaunchSpec& launch, std::int64_t device) {
  const auto& all = launch.local_devices;
  const auto found = std::find_if(all.begin(), all.end(), [device](const protocol::LocalDevice& one) { return one.device == device; });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace

std::string visible_devices(const protocol::LaunchSpec& launch, const std::vector<std::int64_t>& devices) {
  std::string names;
  for (const std::int64_t device : devices) {
    const protocol::LocalDevice* const local = find(launch, device);
    if (!local || local->uuid.empty()) return list_of(devices);
    names += (names.empty() ? "" : ",") + local->uuid;
  }
  return names;
}

std::vector<std::int64_t> device_minors(const protocol::LaunchSpec& launch, const std::vector<std::int64_t>& devices) {
  std::vector<std::int64_t> minors;
  for (const std::int64_t device : devices) {
    const protocol::LocalDevice* const local = find(launch, device);
    minors.push_back(local && local->minor >= 0 ? local->minor : device);
  }
  return minors;
}

std::vector<RankPlace> on_the_bus(const protocol::LaunchSpec& launch, std::vector<RankPlace> places) {
  for (RankPlace& place : places)
    for (std::int64_t& device : place.devices)
      if (const protocol::LocalDevice* const local = find(launch, device); local && local->bus_position >= 0) device = local->bus_position;
  return places;
}

}  // namespace ultramarine::launcher
