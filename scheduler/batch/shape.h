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
  bool exclusive = false;
};

struct Shape {
  Resources resources;
  std::int64_t ranks = 0, ranks_per_node = 0;  // as in JobSpec
  bool whole_nodes = false;                    // resources.gpus_per_node is 0: all GPUs of each node
  bool gpus_by_default = false;                // nobody asked for GPUs
  std::vector<std::string> warnings;           // one line each
};

/// --ntasks-per-node is a maximum beside --ntasks; nodes that aren't said are as many as the tasks need, else 1; --gpus-per-task times tasks
/// is --gpus. No GPU option: all GPUs of exclusive nodes, else 1 (per node, where nodes are said). Throws Problem where numbers contradict.
Shape shape_of(const Sizes& sizes);

}  // namespace ultramarine::batch
