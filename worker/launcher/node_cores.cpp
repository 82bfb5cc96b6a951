// The machine's cores and what is near them, read by hwloc.
#include <hwloc.h>
#include <sched.h>

#include <map>
#include <memory>
#include <tuple>

#include "worker/launcher/cpu_binding.h"

namespace ultramarine::launcher {
namespace {

constexpr unsigned nvidia = 0x10de;
constexpr unsigned display_controller = 0x03;  // PCI base class: display and 3D controllers

using Topology = std::unique_ptr<hwloc_topology, decltype(&hwloc_topology_destroy)>;
using Bitmap = std::unique_ptr<hwloc_bitmap_s, decltype(&hwloc_bitmap_free)>;

Topology new_topology(bool with_gpus) {
  hwloc_topology_t topology = nullptr;
  if (hwloc_topology_init(&topology) != 0) return {nullptr, &hwloc_topology_destroy};
  if (with_gpus) {
    hwloc_topology_set_type_filter(topology, HWLOC_OBJ_PCI_DEVICE, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
    hwloc_topology_set_type_filter(topology, HWLOC_OBJ_BRIDGE, HWLOC_TYPE_FILTER_KEEP_STRUCTURE);
  }
  return {topology, &hwloc_topology_destroy};
}

/// CPUs that this process may run on, beside what its control group says.
Bitmap usable() {
  Bitmap bitmap(hwloc_bitmap_alloc(), &hwloc_bitmap_free);
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) {
    hwloc_bitmap_fill(bitmap.get());
    return bitmap;
  }
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set)) hwloc_bitmap_set(bitmap.get(), cpu);
  return bitmap;
}

Cpus cpus_in(hwloc_const_bitmap_t set) {
  Cpus cpus;
  for (int cpu = hwloc_bitmap_first(set); cpu >= 0; cpu = hwloc_bitmap_next(set, cpu)) cpus.push_back(cpu);
  return cpus;
}

NodeCores cores_of(hwloc_topology_t topology, hwloc_const_bitmap_t usable) {
  NodeCores node;
  std::vector<hwloc_obj_t> objects;
  const hwloc_obj_type_t type = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE) > 0 ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
  for (hwloc_obj_t core = nullptr; (core = hwloc_get_next_obj_by_type(topology, type, core)) != nullptr;) {
    const Bitmap mine(hwloc_bitmap_alloc(), &hwloc_bitmap_free);
    hwloc_bitmap_and(mine.get(), core->cpuset, usable);
    if (hwloc_bitmap_iszero(mine.get())) continue;
    node.cores.push_back(cpus_in(mine.get()));
    objects.push_back(core);
  }
  using Address = std::tuple<unsigned, unsigned, unsigned, unsigned>;
  std::map<Address, std::vector<std::size_t>> gpus;
  for (hwloc_obj_t device = nullptr; (device = hwloc_get_next_pcidev(topology, device)) != nullptr;) {
    const auto& pci = device->attr->pcidev;
    if (pci.vendor_id != nvidia || pci.class_id >> 8 != display_controller) continue;
    std::vector<std::size_t>& near = gpus[{pci.domain, pci.bus, pci.dev, pci.func}];
    const hwloc_obj_t home = hwloc_get_non_io_ancestor_obj(topology, device);
    for (std::size_t i = 0; i < objects.size(); ++i)
      if (home && home->cpuset && hwloc_bitmap_isincluded(objects[i]->cpuset, home->cpuset)) near.push_back(i);
  }
  for (auto& [address, near] : gpus) node.near_gpus.push_back(std::move(near));
  return node;
}

}  // namespace

std::optional<NodeCores> read_cores(bool with_gpus) {
  const Topology topology = new_topology(with_gpus);
  if (!topology || hwloc_topology_load(topology.get()) != 0) return std::nullopt;
  return cores_of(topology.get(), usable().get());
}

std::optional<NodeCores> read_cores_from_xml(const std::string& xml) {
  const Topology topology = new_topology(true);
  if (!topology || hwloc_topology_set_xmlbuffer(topology.get(), xml.c_str(), static_cast<int>(xml.size()) + 1) != 0) return std::nullopt;
  if (hwloc_topology_load(topology.get()) != 0) return std::nullopt;
  return cores_of(topology.get(), hwloc_topology_get_allowed_cpuset(topology.get()));
}

}  // namespace ultramarine::launcher
