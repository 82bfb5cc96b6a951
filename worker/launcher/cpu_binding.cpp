#include "worker/launcher/cpu_binding.h"

#include <algorithm>
#include <set>

namespace ultramarine::launcher {
namespace {

/// Part `index` of `count` even ones.
template <class T>
std::vector<T> share(const std::vector<T>& all, std::size_t index, std::size_t count) {
  const auto at = [&](std::size_t i) { return all.begin() + static_cast<std::ptrdiff_t>(i * all.size() / count); };
  return {at(index), at(index + 1)};
}

/// The cores of one GPU: its part of those near it, shared evenly with all others of the node that are as near. Without knowledge: of all.
std::vector<std::size_t> cores_of_gpu(const NodeCores& node, std::size_t gpu) {
  std::size_t before = 0, sharing = 0;
  for (std::size_t other = 0; other < node.near_gpus.size(); ++other) {
    if (node.near_gpus[other] != node.near_gpus[gpu]) continue;
    ++sharing;
    before += other < gpu ? 1 : 0;
  }
  return share(node.near_gpus[gpu], before, sharing);
}

/// The cores of a set of ranks that see the same devices; empty when one of these isn't known.
std::vector<std::size_t> cores_near(const NodeCores& node, const std::vector<std::int64_t>& devices) {
  std::set<std::size_t> cores;
  for (const std::int64_t device : devices) {
    if (device < 0 || device >= static_cast<std::int64_t>(node.near_gpus.size())) return {};
    const auto own = cores_of_gpu(node, static_cast<std::size_t>(device));
    cores.insert(own.begin(), own.end());
  }
  return {cores.begin(), cores.end()};
}

}  // namespace

std::vector<Cpus> bound_cpus(const NodeCores& node, const std::vector<RankPlace>& places, bool virtual_devices, std::int64_t cpus_per_rank) {
  std::vector<std::size_t> all(node.cores.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  std::vector<Cpus> bound;
  bool everywhere = true;
  for (const RankPlace& place : places) {
    // Ranks with the same devices divide what is near these among them.
    std::size_t index = 0, sharing = 0;
    for (const RankPlace& other : places) {
      if (!virtual_devices && other.devices != place.devices) continue;
      ++sharing;
      index += other.local_rank < place.local_rank ? 1 : 0;
    }
    const std::vector<std::size_t> cores = share(virtual_devices ? all : cores_near(node, place.devices), index, sharing);
    Cpus cpus;
    for (const std::size_t core : cores) cpus.insert(cpus.end(), node.cores[core].begin(), node.cores[core].end());
    std::sort(cpus.begin(), cpus.end());
    if (cpus.empty() || static_cast<std::int64_t>(cpus.size()) < cpus_per_rank) return {};
    everywhere = everywhere && cores.size() == all.size();
    bound.push_back(std::move(cpus));
  }
  return everywhere ? std::vector<Cpus>() : bound;
}

}  // namespace ultramarine::launcher
