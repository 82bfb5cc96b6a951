// Nodes, ranks and GPUs as sbatch puts them together: what is not said follows from the rest. Knows no cluster.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "scheduler/batch/values.h"

namespace ultramarine::batch {

/// A number and the place where it was given.
struct Asked {
  std::int64_t count = 0;
  std::string where;
};

/// All that is said about sizes; absent: not said.
struct Sizes {
  std::optional<Asked> nodes, tasks, tasks_per_node, tasks_per_gpu;
  std::optional<Asked> gpus, gpus_per_node, gpus_per_task;
  std::optional<Asked> hosts;  // so many nodes are named, and each of them is to be used
  bool exclusive = false;
};

struct Shape {
  Resources resources;
  std::int64_t ranks = 0, ranks_per_node = 0;  // as in JobSpec
  bool gpus_by_default = false;                // nobody asked for GPUs
  std::vector<std::string> warnings;           // one line each
};

/// --ntasks-per-node is a maximum beside --ntasks; nodes that aren't said are as many as are named, or as the tasks need, else 1; --gpus-per-task times tasks
/// is --gpus. No GPU option: 1 (per node, where nodes are said or exclusive). Throws Problem where numbers contradict.
Shape shape_of(const Sizes& sizes);

}  // namespace ultramarine::batch
