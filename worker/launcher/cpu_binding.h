// Which CPUs each rank of a node stays on: those near its GPU, in even shares, so that neither memory nor a neighbour's threads are far or in the
// way. Shares are of whole cores. Two halves: reading the machine (hwloc) and dividing it (pure). Where there are fewer cores than ranks, or a
// share has fewer CPUs than a rank asked for, nobody is bound: a crowded core is worse than a far one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "worker/launcher/gang_layout.h"

namespace ultramarine::launcher {

/// Numbers as the kernel counts CPUs, ascending.
using Cpus = std::vector<int>;

struct NodeCores {
  std::vector<Cpus> cores;                            // that this process may use, each with its hardware threads
  std::vector<std::vector<std::size_t>> near_gpus;    // by GPU in order of its bus address: which of `cores` are near; of no GPU: empty
};

/// Of this machine. `with_gpus`: looks for GPUs too, which takes longer. nullopt when hwloc can't tell.
std::optional<NodeCores> read_cores(bool with_gpus);
/// The same from hwloc's XML; a test's machine.
std::optional<NodeCores> read_cores_from_xml(const std::string& xml);

/// One set for each of `places` (the ranks of one node), in their order; an empty list: nobody is bound. Virtual devices have no place of their own:
/// the cores are shared evenly by local rank. `cpus_per_rank`: what a rank asked for; 0 = not said.
std::vector<Cpus> bound_cpus(const NodeCores& node, const std::vector<RankPlace>& places, bool virtual_devices, std::int64_t cpus_per_rank);

}  // namespace ultramarine::launcher
