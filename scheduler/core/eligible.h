// The nodes that a job may use, and how many GPUs each of them could give it at most: of its partition, of its GPU type, with all its features,
// named or not excluded, with CPUs and memory for at least one GPU's share. The one idea: jobs that ask for the same kind of nodes are one
// class, and whoever plans thousands of jobs looks at the nodes once per class.
// Knows the configuration alone: not which nodes are up, nor who holds what.
#pragma once

#include <string>
#include <tuple>
#include <vector>

#include "scheduler/model/cluster.h"
#include "scheduler/model/job.h"

namespace ultramarine::core {

struct EligibleNode {
  const NodeConfig* node = nullptr;
  std::int64_t gpus = 0;  // at least 1: the least of its devices, its CPUs over cpus_per_gpu, its memory over memory_per_gpu_bytes
};

/// In node order. CPUs and memory of a node that says nothing of them (0) are not counted.
std::vector<EligibleNode> eligible_nodes(const ClusterConfig& cluster, const PartitionConfig& partition, const JobSpec& spec);

/// All of a request that decides which nodes it may use, how much of each, and when they are open to it.
struct RequestClass {
  std::string partition, gpu_type, reservation;
  std::vector<std::string> features, only_nodes, without_nodes;
  std::int64_t cpus_per_gpu = 0, memory_per_gpu_bytes = 0;
  bool exclusive = false;

  RequestClass() = default;
  explicit RequestClass(const JobSpec& spec)
      : partition(spec.partition), gpu_type(spec.gpu_type), reservation(spec.reservation), features(spec.features), only_nodes(spec.only_nodes),
        without_nodes(spec.without_nodes), cpus_per_gpu(spec.cpus_per_gpu), memory_per_gpu_bytes(spec.memory_per_gpu_bytes), exclusive(spec.exclusive) {}
};

/// Orders classes, and finds that of a job without making one: `std::map<RequestClass, View, ByRequestClass>::find(job.spec)`.
struct ByRequestClass {
  using is_transparent = void;
  template <class A, class B>
  bool operator()(const A& a, const B& b) const {
    return key(a) < key(b);
  }

 private:
  template <class T>
  static auto key(const T& value) {
    return std::tie(value.partition, value.gpu_type, value.cpus_per_gpu, value.memory_per_gpu_bytes, value.exclusive, value.reservation,
                    value.features, value.only_nodes, value.without_nodes);
  }
};

}  // namespace ultramarine::core
